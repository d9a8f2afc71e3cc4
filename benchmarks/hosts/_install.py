"""The app put onto a phone, and what Android's package manager means when it refuses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from regnet_edge.errors import DeviceError

from ._transcript import PhoneLine

PACKAGE = "/data/local/tmp/regnet-edge.apk"
REFUSALS = {
    "INSUFFICIENT_STORAGE": "the phone has no room for it; free some space",
    "UPDATE_INCOMPATIBLE": "an app signed by another key is there; remove it with adb uninstall {app}",
    "SHARED_USER_INCOMPATIBLE": "an app signed by another key is there; remove it with adb uninstall {app}",
    "NO_MATCHING_ABIS": "it is built for another processor; build the one for this phone with make apk",
    "OLDER_SDK": "the phone's Android is older than 8, take another phone",
    "VERSION_DOWNGRADE": "a newer one is there; remove it with adb uninstall {app}",
    "USER_RESTRICTED": "the phone forbids it; allow installing over USB in its developer options",
    "VERIFICATION_FAILURE": "the phone forbids it; switch off verifying apps over USB",
}


def install(line: PhoneLine, package: Path, app: str) -> None:
    """Install the package, as `adb install -r` does; raises DeviceError with what the phone says."""
    line.push(str(package), PACKAGE)
    try:
        done = line.shell(f"pm install -r {PACKAGE} 2>&1", timeout_s=300.0)
    finally:
        line.shell(f"rm -f {PACKAGE}")
    if "Success" not in done.out:
        raise DeviceError(f"the phone did not install {package.name}: {reason(done.out, app)}")


def reason(said: str, app: str) -> str:
    """What the package manager's code means, and what to do; its own words where we do not know them."""
    code = re.search(r"INSTALL_(?:FAILED|PARSE_FAILED)_(\w+)", said)
    for sign, meaning in REFUSALS.items():
        if code and code.group(1) == sign:
            return meaning.format(app=shlex.quote(app))
    lines = [s.strip() for s in said.splitlines() if s.strip()]
    return f"{lines[-1][:120] if lines else 'it said nothing'}; try adb install -r"
