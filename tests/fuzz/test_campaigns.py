"""A minute of hostile inputs, the inputs that broke something once, and the campaigns' own tools."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from . import deaths
from .arguments import FILLED, ROOTS, command_line
from .campaign import Campaign
from .command import Death, Ended
from .mutations import damaged_bytes, damaged_value
from .oracle import files, said
from .verbs import verbs

HOME = Path(__file__).parents[2]
SECONDS = 40  # besides what loading and the samples take


def campaign(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz", *arguments]
    return subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)


def test_a_minute_of_hostile_inputs_and_deaths_finds_no_fault(tmp_path: Path) -> None:
    """Fixed seeds: how many fit into the time differs from machine to machine, what each tries does not.

    Deaths come first, so that there is one on a slow machine too. Converting is left to `make fuzz`: its
    tools take longer to load than a minute.
    """
    state = ("--state", str(tmp_path), "--targets", "", "--minutes", str(SECONDS / 60))
    parts = (f"--part={part}" for part in ("deaths", "arguments", "files", "readers"))
    ended = campaign(*state, "--corpus", "--inputs", "60", *parts)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    counted = re.search(r"fuzz: [\d,]+ inputs, [1-9]\d* deaths, 0 faults", ended.stdout)
    assert counted, ended.stdout
    assert not list(tmp_path.glob("boxes/*")), "sandboxes are removed"


def ended(code: int = 1, err: str = "Error: no; do this\n", **other: object) -> Ended:
    fields = {"out": "", "seconds": 0.1, "stopped": False, "changes": (), "left": 0} | other
    return Ended(code, err=err, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (ended(-signal.SIGSEGV), "SIGSEGV"),
        (ended(3), "exit code"),
        (ended(1, "Traceback (most recent call last):\nError: x\n"), "traceback"),
        (ended(1, "Error: KeyError: x; this is a fault of regnet-edge\n"), "own fault"),
        (ended(1, "Error: " + "x" * 301 + "\n"), "301 characters"),
        (ended(1, "Error: one\ntwo\n"), "more than one line"),
        (ended(1, "Error: \x1b[2J\u2028\n"), "control characters"),
        (ended(1, ""), "without a word"),
        (ended(0, "", changes=("out open /etc/passwd",)), "outside"),
        (ended(0, "", left=1), "outlived"),
        (ended(130, stopped=True), "until it was stopped"),
    ],
)
def test_the_oracle_sees_each_broken_promise(broken: Ended, says: str) -> None:
    assert any(says in sentence for sentence in said(broken, ["show"]))


def test_the_oracle_takes_what_keeps_them() -> None:
    assert not said(ended(), ["show"])
    assert not said(ended(2, "Usage: regnet-edge show [OPTIONS]\nError: No such option\n"), ["show"])
    assert not said(ended(130, "Error: stopped\n", stopped=True), ["train"])


def test_half_files_and_leftovers_are_seen(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text('{"a": 1}\n{"b"')
    assert not files(tmp_path, resumed=False), "a last line without its end is allowed"
    assert files(tmp_path, resumed=True) == ["results.jsonl ends within a line"]
    (tmp_path / "results.jsonl").write_text('{"a": 1}\n{"b"\n')
    (tmp_path / "plan.json").write_text('{"a": ')
    (tmp_path / ".regnet-edge-x").mkdir()
    assert {f.split()[0] for f in files(tmp_path, resumed=True)} == {
        "results.jsonl",
        "plan.json",
        ".regnet-edge-x",
    }


def test_every_verb_and_option_is_tried_and_a_seed_says_all() -> None:
    rng = random.Random(0)
    for verb in verbs():
        lines = [command_line(verb, rng, ["net.json"]) for _ in range(60)]
        used = {part for line in lines for part in line}
        for option in verb.options:
            assert used & {*option.opts, *option.secondary_opts}, (verb.name, option.opts)
    once, again = (command_line(verbs()[0], random.Random(7), ["a"]) for _ in range(2))
    assert once == again


def test_no_command_is_asked_to_fill_the_root_of_this_machine() -> None:
    rng = random.Random(0)
    for verb in verbs():
        lines = [command_line(verb, rng, ["net.json"]) for _ in range(300)]
        asked = {line[i + 1] for line in lines for i in range(len(line) - 1) if line[i] in FILLED}
        assert asked.isdisjoint(ROOTS), verb.name


def test_each_moment_of_death_is_met_once() -> None:
    changes = ("in main open /box/.lock", "in worker open /box/a b", "in main os.rename /box/a -> /box/c")
    assert deaths.moments(changes) == [
        Death(1),
        Death(2),
        Death(2, torn=True),
        Death(2, whom="alone"),
        Death(3),
    ]


def test_a_command_that_fails_undisturbed_is_a_fault_and_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def undisturbed(scenario: deaths.Scenario, box: Path) -> Ended:
        if scenario.name == "fails":
            raise deaths.FailsUndisturbedError(scenario.arguments, ended(1))
        return ended(0, changes=("in main os.mkdir /box/new",))

    both = (deaths.Scenario("fails", ("train",)), deaths.Scenario("works", ("report",)))
    monkeypatch.setattr(deaths, "scenarios", lambda samples: both)
    monkeypatch.setattr(deaths, "undisturbed", undisturbed)
    monkeypatch.setattr(deaths, "attempt", lambda scenario, death, box: (True, [], ended(-9)))
    (tmp_path / "work").mkdir()
    counts = Campaign(tmp_path / "state", tmp_path / "work").go(["deaths"], 60, 3)
    assert (counts.deaths, counts.faults, counts.moments) == (3, 1, {"works": 3})


def test_damage_is_damage() -> None:
    rng = random.Random(0)
    content, value = bytes(range(256)), {"a": [1, 2.5, {"b": "x"}], "c": None}
    assert sum(damaged_bytes(content, rng) != content for _ in range(100)) > 90
    assert sum(repr(damaged_value(value, rng)) != repr(value) for _ in range(100)) > 90
    assert value == {"a": [1, 2.5, {"b": "x"}], "c": None}


def test_a_process_dies_at_the_change_that_is_asked_for(tmp_path: Path) -> None:
    hook = Path(__file__).parent / "hook"
    work = "open('a', 'w').write('x'); open('b', 'w').write('yyyy'); open('c', 'w').write('z')"

    def killed(death: int, torn: bool) -> set[str]:
        for old in tmp_path.glob("?"):
            old.unlink()
        (tmp_path / "log.txt").unlink(missing_ok=True)
        code = (
            "import os, json; os.environ['REGNET_EDGE_FUZZ'] = json.dumps(dict(log='log.txt', "
            f"inside=os.getcwd(), main=os.getpid(), death={death}, torn={torn}, whom='all')); "
            f"import sitecustomize; sitecustomize.install(); {work}"
        )
        environment = {**os.environ, "PYTHONPATH": str(hook)}
        ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False)
        assert ended.returncode == (-signal.SIGKILL if death else 0)
        return {f"{p.name}{p.stat().st_size}" for p in tmp_path.glob("?")}

    assert killed(0, False) == {"a1", "b4", "c1"}
    assert killed(2, False) == {"a1"}
    assert killed(2, True) == {"a1", "b2"}
