"""Short ways past the tools' own pipelines: tested versions only, and never the end of a conversion."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from regnet_edge.converters import doctor, shortcuts
from regnet_edge.converters.shortcuts import SHORT_WAYS, Taken, take

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
WAY = "litert lowering"


def test_each_was_tested_with_the_versions_that_the_tests_install() -> None:
    lines = [line for line in CONSTRAINTS.read_text().splitlines() if not line.startswith("#")]
    pinned = {Requirement(line).name: str(Requirement(line).specifier).removeprefix("==") for line in lines}
    for way in SHORT_WAYS.values():
        for distribution, versions in way.tested.items():
            assert SpecifierSet(versions).contains(pinned[distribution]), (way.name, distribution)
        assert way.untested() == ""


def raising(error: Exception) -> Callable[[], bytes]:
    def short() -> bytes:
        raise error

    return short


@pytest.mark.parametrize(
    ("short", "taken"),
    [
        (lambda: b"short", Taken(b"short", WAY, "short")),
        (lambda: None, Taken(b"own", WAY, "own pipeline: the network has an operator without a rule")),
        (
            raising(AttributeError("no such\ndoor")),
            Taken(b"own", WAY, "own pipeline: AttributeError: no such door"),
        ),
        (raising(ImportError("gone")), Taken(b"own", WAY, "own pipeline: ImportError: gone")),
        (raising(TypeError("changed")), Taken(b"own", WAY, "own pipeline: TypeError: changed")),
    ],
)
def test_a_locked_door_leads_to_the_tools_own_pipeline(
    short: Callable[[], bytes | None], taken: Taken[bytes]
) -> None:
    assert take(WAY, short, lambda: b"own") == taken


def test_any_other_failure_is_told_and_not_hidden() -> None:
    with pytest.raises(ValueError, match="a fault"):
        take(WAY, raising(ValueError("a fault")), lambda: b"own")


def test_an_untested_version_is_not_tried_and_doctor_tells_the_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = shortcuts.version
    monkeypatch.setattr(
        shortcuts, "version", lambda name: "0.6.0" if name == "litert-converter" else stock(name)
    )
    taken = take(WAY, raising(AssertionError("tried")), lambda: b"own")
    assert taken.way == "own pipeline: litert-converter 0.6.0 is untested"

    async def installed(name: str, _: object) -> doctor.InstalledPackage:
        return doctor.InstalledPackage(name, "1.0")

    monkeypatch.setattr(doctor, "_examined", installed)
    found = {finding.name: finding for finding in doctor.examine()}
    assert found["tflite"].works
    assert found["tflite"].remarks == (
        "litert-converter 0.6.0 is untested for the short way 'litert lowering': litert_torch lowers the "
        "network: the same operators, twenty seconds slower",
    )
    assert not found["coreml"].remarks


def test_an_import_that_does_not_end_on_a_busy_machine_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "PROBE_TIMEOUT_S", 0)
    said = asyncio.run(doctor._import_failure("numpy"))
    assert said == (
        "importing numpy took more than 0 s; try again when this machine is less busy, or install it again"
    )


def test_doctor_says_what_no_bytecode_costs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "site" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert doctor.uncompiled(["torch"]) == ()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    [sentence] = doctor.uncompiled(["torch", "numpy"])
    command = sentence.rpartition("; run ")[2].split()
    assert command[1:] == ["-m", "compileall", "-q", str(tmp_path / "site")]
    subprocess.run([sys.executable, *command[1:]], check=True)
    assert doctor.uncompiled(["torch", "numpy"]) == doctor.uncompiled(["numpy"]) == ()
