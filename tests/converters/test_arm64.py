from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from regnet_edge.converters.guests import arm64_build, environments
from regnet_edge.converters.guests.debian import DebianPackage, _unpack_one, unpack
from regnet_edge.errors import ToolError
from regnet_edge.files import sha256_of

LINE = "bookworm/arm64/libacl1==2.3.1-3 --hash=sha256:" + "ab" * 32


@pytest.fixture
def deb(dpkg_deb, tmp_path) -> Path:
    """A Debian package with one file."""
    inside = tmp_path / "inside"
    (inside / "DEBIAN").mkdir(parents=True)
    (inside / "hello").write_text("hello\n")
    control = "Package: tiny\nVersion: 1.0\nArchitecture: arm64\nMaintainer: nobody\nDescription: tiny\n"
    (inside / "DEBIAN" / "control").write_text(control)
    made = tmp_path / "tiny_1.0_arm64.deb"
    subprocess.run([dpkg_deb, "-b", str(inside), str(made)], check=True, capture_output=True)
    return made


def test_a_line_of_the_list_pins_suite_architecture_version_and_content():
    package = DebianPackage.parse(LINE)
    assert (package.tree, package.name, package.version) == ("bookworm-arm64", "libacl1", "2.3.1-3")
    assert package.sha256 == "ab" * 32


def test_every_package_of_the_emulated_machine_has_a_hash():
    for line in environments.recipe("arm64").packages:
        digest = line.partition(" --hash=sha256:")[2]
        assert len(bytes.fromhex(digest)) == 32, line


def test_runtimes_there_are_of_the_versions_that_run_here():
    pins = Path(__file__).parents[2].joinpath("constraints.txt").read_text().splitlines()
    recipe = environments.recipe("arm64")
    for package in ("ai-edge-litert", "onnxruntime", "executorch", "numpy"):
        assert f"{package}=={recipe.version(package)}" in pins


def test_a_package_is_unpacked_only_if_it_is_the_pinned_one(deb, tmp_path):
    pinned = DebianPackage("bookworm", "arm64", "tiny", "1.0", sha256_of(deb))
    tree = tmp_path / "tree"
    with pytest.raises(ToolError, match=r"tiny_1\.0_arm64\.deb is not the pinned package"):
        _unpack_one(replace(pinned, sha256="00" * 32), tmp_path, tree)
    assert not tree.exists()
    _unpack_one(pinned, tmp_path, tree)
    assert (tree / "hello").read_text() == "hello\n"


@pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not installed; a Debian brings it")
def test_a_mirror_without_the_packages_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("REGNET_EDGE_DEBIAN_MIRROR", f"file:{tmp_path}/nothing")
    with pytest.raises(ToolError, match=r"cannot fetch Debian bookworm.*REGNET_EDGE_DEBIAN_MIRROR=URL"):
        unpack([DebianPackage.parse(LINE)], tmp_path)


def test_another_kind_of_machine_is_told_what_it_can_do(tmp_path, monkeypatch):
    monkeypatch.setattr(arm64_build.platform, "machine", lambda: "aarch64")
    monkeypatch.setenv("REGNET_EDGE_ENVIRONMENTS", str(tmp_path))
    with pytest.raises(ToolError, match="x86-64 Linux only; on an arm64 machine"):
        environments.create("arm64")
    assert list(tmp_path.iterdir()) == []


def test_a_link_inside_the_sysroot_leads_into_it(tmp_path):
    (tmp_path / "etc/java").mkdir(parents=True)
    (tmp_path / "etc/java/jvm.cfg").write_text("-server KNOWN\n")
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/jvm.cfg").symlink_to("/etc/java/jvm.cfg")
    (tmp_path / "usr/lib/near.cfg").symlink_to("jvm.cfg")
    arm64_build._link_within(tmp_path)
    assert (tmp_path / "usr/lib/jvm.cfg").read_text() == "-server KNOWN\n"
    assert (tmp_path / "usr/lib/near.cfg").resolve() == (tmp_path / "etc/java/jvm.cfg").resolve()
