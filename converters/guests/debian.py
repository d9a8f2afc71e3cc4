"""Debian packages of any suite and architecture, unpacked into a folder; the machine registers none of them.

apt does the fetching, from the mirror that this machine is set up with, in a folder of its own; what it
brings is checked against the pinned sha256 and unpacked by dpkg-deb, without running anything inside.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from regnet_edge.errors import ToolError
from regnet_edge.files import sha256_of
from regnet_edge.programs import finished

MIRROR_VARIABLE = "REGNET_EDGE_DEBIAN_MIRROR"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_CONFIGURATION = """
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
Dir "{folder}/";
Dir::State "state";
Dir::State::status "{folder}/status";
Dir::Cache "cache";
Dir::Etc "etc";
Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
APT::Sandbox::User "";
Acquire::Languages "none";
"""
_FOLDERS = ("state/lists/partial", "cache/archives/partial", "etc/sources.list.d", "etc/preferences.d")


@dataclass(frozen=True, slots=True, order=True)
class DebianPackage:
    """One pinned package: `suite/arch/name==version --hash=sha256:...` in a list."""

    suite: str
    arch: str
    name: str
    version: str
    sha256: str

    @classmethod
    def parse(cls, line: str) -> DebianPackage:
        """The package that a line of a list pins."""
        what, _, sha256 = line.partition(" --hash=sha256:")
        place, _, version = what.partition("==")
        suite, arch, name = place.split("/")
        return cls(suite, arch, name, version, sha256)

    @property
    def tree(self) -> str:
        """The folder that packages of its suite and architecture share."""
        return f"{self.suite}-{self.arch}"


def unpack(packages: Sequence[DebianPackage], into: Path) -> None:
    """Fetch, check and unpack them, each into the tree of its suite and architecture below `into`.

    Raises ToolError where apt or a package cannot be had, or a package is not the pinned one.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise ToolError("this environment is made of Debian packages; install apt and dpkg, or use a Debian")
    mirror = os.environ.get(MIRROR_VARIABLE) or _mirror()
    for tree, members in groupby(sorted(packages), key=lambda p: p.tree):
        apt = into / f"apt-{tree}"
        _unpack(list(members), apt, into / tree, mirror)
        shutil.rmtree(apt)


def _mirror() -> str:
    """The machine's own first source of Debian's main archive."""
    shown = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    targets = ["apt-get", "indextargets", "--format", shown, "Created-By: Packages"]
    listed = finished(targets).stdout
    sources = (line.split() for line in listed.splitlines() if line.endswith(" main"))
    main = (words[0] for words in sources if "security" not in words[1] and "/debian" in words[0])
    address = next(main, "")
    if not address:
        raise ToolError(f"apt knows no Debian mirror here; name one with {MIRROR_VARIABLE}=URL")
    return address


def _unpack(packages: Sequence[DebianPackage], apt: Path, tree: Path, mirror: str) -> None:
    suite, arch = packages[0].suite, packages[0].arch
    for inner in _FOLDERS:
        (apt / inner).mkdir(parents=True)
    (apt / "status").touch()
    source = f"deb [signed-by={KEYRING}] {mirror} {suite} main\n"
    (apt / "etc" / "sources.list").write_text(source, encoding="utf-8")
    configuration = apt / "apt.conf"
    configuration.write_text(_CONFIGURATION.format(folder=apt.resolve(), arch=arch), encoding="utf-8")
    _apt(configuration, "update", f"Debian {suite}'s list of packages")
    names = [f"{p.name}={p.version}" for p in packages]
    _apt(configuration, "download", f"packages of Debian {suite}", *names)
    tree.mkdir()
    for package in packages:
        _unpack_one(package, apt, tree)


def _apt(configuration: Path, verb: str, what: str, *names: str) -> None:
    done = finished(
        ["apt-get", "-q", "-o", "APT::Update::Error-Mode=any", verb, *names],
        env={**os.environ, "APT_CONFIG": str(configuration), "LC_ALL": "C"},
        cwd=configuration.parent,
    )
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("E: ")]
        why = reasons[0][3:].rstrip(".") if reasons else f"apt-get ended with code {done.returncode}"
        raise ToolError(
            f"cannot fetch {what} ({why}); nothing was left behind: check the network, or name a mirror that "
            f"has it with {MIRROR_VARIABLE}=URL"
        )


def _unpack_one(package: DebianPackage, folder: Path, tree: Path) -> None:
    [file] = folder.glob(f"{package.name}_*.deb")
    if sha256_of(file) != package.sha256:
        raise ToolError(
            f"{file.name} is not the pinned package (sha256 differs); nothing was left behind: name another "
            f"mirror with {MIRROR_VARIABLE}=URL"
        )
    unpacked = ["dpkg-deb", "-x", str(file), str(tree)]
    done = finished(unpacked)
    if done.returncode:
        raise ToolError(f"cannot unpack {file.name} ({done.stderr.strip()}); free some space")
    file.unlink()
