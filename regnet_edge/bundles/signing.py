"""Signing Android packages with apksigner: a debug key made on this machine, or a keystore of the user's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from regnet_edge.bundles import apk
from regnet_edge.errors import ToolError, UsageError
from regnet_edge.programs import finished
from regnet_edge.temporary import TemporaryFolder

PASSWORD = "REGNET_EDGE_KEYSTORE_PASSWORD"  # noqa: S105  # the name of a variable
DEBUG_PASSWORD = "android"  # noqa: S105  # what every debug keystore has; it protects nothing
DEBUG_ALIAS = "androiddebugkey"
MIN_SDK = 26


@dataclass(frozen=True, slots=True)
class Key:
    """A keystore with its password; alias '' takes the only key in it."""

    keystore: Path
    password: str
    alias: str = ""


def debug_key() -> Key:
    """This machine's debug key, made by keytool once, so that a later build updates an earlier one."""
    folder = Path(os.environ.get("REGNET_EDGE_KEYS") or platformdirs.user_data_dir("regnet-edge"))
    store = folder / "android-debug.keystore"
    if not store.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = store.with_name(f".{os.getpid()}.keystore")
        _run(
            "keytool", "-genkeypair", "-keystore", str(made), "-storetype", "PKCS12", "-alias", DEBUG_ALIAS,
            "-keyalg", "RSA", "-keysize", "2048", "-validity", "10000", "-dname", "CN=regnet-edge debug",
            "-storepass", DEBUG_PASSWORD, "-keypass", DEBUG_PASSWORD,
        )  # fmt: skip
        made.replace(store)
    return Key(store, DEBUG_PASSWORD, DEBUG_ALIAS)


def release_key(keystore: Path) -> Key:
    """The user's key; its password comes from the environment, never from the command line."""
    if not keystore.is_file():
        raise UsageError(f"no keystore at {keystore}; keytool -genkeypair makes one")
    password = os.environ.get(PASSWORD, "")
    if not password:
        raise UsageError(f"put the password of {keystore} into the environment variable {PASSWORD}")
    return Key(keystore, password)


def signed(entries: Mapping[str, bytes], out: Path, key: Key) -> None:
    """Write the entries as a package signed by v2 and v3, its alignment checked after signing."""
    with TemporaryFolder() as folder:
        unsigned = Path(folder) / "unsigned.apk"
        apk.write(entries, unsigned)
        alias = ["--ks-key-alias", key.alias] if key.alias else []
        _run(
            "apksigner", "sign", "--ks", str(key.keystore), "--ks-pass", f"env:{PASSWORD}",
            "--key-pass", f"env:{PASSWORD}", *alias, "--v1-signing-enabled", "false",
            "--v2-signing-enabled", "true", "--v3-signing-enabled", "true", "--v4-signing-enabled", "false",
            "--min-sdk-version", str(MIN_SDK), "--out", str(out), str(unsigned), password=key.password,
        )  # fmt: skip
    if wrong := apk.misaligned(out):
        raise ToolError(f"apksigner moved {wrong[0]} out of its alignment; install apksigner 31 or newer")
    verify(out)


def verify(path: Path) -> str:
    """Who signed it, after checking v2 and v3; raises ToolError where a signature does not hold."""
    said = _run(
        "apksigner", "verify", "--verbose", "--print-certs", "--min-sdk-version", str(MIN_SDK), str(path)
    )
    if not (_holds(said, "v2") and _holds(said, "v3")):
        raise ToolError(f"{path} is not signed by v2 and v3; build it again")
    lines = [s.split(":", 1)[1].strip() for s in said.splitlines() if "certificate DN" in s]
    return lines[0] if lines else ""


def _holds(said: str, scheme: str) -> bool:
    return any(
        s.startswith(f"Verified using {scheme} scheme") and s.endswith("true") for s in said.splitlines()
    )


def _run(*command: str, password: str = "") -> str:
    """What a Java tool printed; raises ToolError, or UsageError for a keystore that does not open."""
    if shutil.which(command[0]) is None:
        raise ToolError(f"{command[0]} is missing; on Debian: apt-get install apksigner default-jre-headless")
    done = finished(command, env={**os.environ, PASSWORD: password})
    said = done.stdout + done.stderr
    if done.returncode == 0:
        return said
    if "password was incorrect" in said or "failed to decrypt" in said:
        raise UsageError(f"the keystore's password is wrong; put the right one into {PASSWORD}")
    if "multiple key entries" in said or "no such key" in said.lower():
        raise UsageError("the keystore holds no key or several; give one with a single key")
    raise ToolError(f"{command[0]} failed: {_last(said)}")


def _last(said: str) -> str:
    lines = [s.strip() for s in said.splitlines() if s.strip() and not s.strip().startswith("at ")]
    return lines[-1][:200] if lines else "it said nothing"
