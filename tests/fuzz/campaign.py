"""What is tried next, what is done already, and the closing line."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from . import arguments, deaths, files, oracle, readers, samples
from .command import Death, Ended, run, sandbox
from .verbs import verbs

T = TypeVar("T")

STOP_S = 25.0  # until Ctrl-C for verbs that work as long as they are told to
KEPT = 300  # faults that are kept with their sandbox
ODD = ("fifo", "loop", "dangling", "empty.json", "[red]mark[up].json", "latin-*")
SHARES = {"arguments": 0.3, "files": 0.2, "readers": 0.1, "runtimes": 0.15, "deaths": 0.25}


@dataclass(slots=True)
class Counts:
    """Of a campaign so far: the next seed of each part, and what was found."""

    seeds: dict[str, int] = field(default_factory=dict)
    inputs: int = 0
    deaths: int = 0
    faults: int = 0
    moments: dict[str, int] = field(default_factory=dict)  # of death that were tried, by scenario
    seconds: dict[str, float] = field(default_factory=dict)

    def line(self) -> str:
        """The closing line."""
        kinds = ", ".join(f"{seed:,} {part}" for part, seed in sorted(self.seeds.items()))
        return f"fuzz: {self.inputs:,} inputs, {self.deaths:,} deaths, {self.faults:,} faults ({kinds})"


class NothingToTryError(Exception):
    """A part has nothing of that name, or nothing that works."""


@dataclass(slots=True)
class Campaign:
    """A campaign whose state lies in a folder."""

    folder: Path
    work: Path  # the samples
    only: Sequence[str] = ()
    counts: Counts = field(default_factory=Counts)
    known: dict[str, list[Death]] = field(default_factory=dict)  # the moments of scenarios, once they ran

    def __post_init__(self) -> None:
        state = self.folder / "state.json"
        if state.exists():
            self.counts = Counts(**json.loads(state.read_text()))
        (self.folder / "boxes").mkdir(parents=True, exist_ok=True)

    def go(self, parts: Sequence[str], seconds: float, most: int) -> Counts:
        """Try until the time is over, or `most` seeds are done; each part has its share of the time."""
        until, done, left = time.monotonic() + seconds, 0, list(parts)
        while left and time.monotonic() < until and done < most:
            part = min(left, key=lambda p: self.counts.seconds.get(p, 0.0) / SHARES[p])
            seed = self.counts.seeds.get(part, 0)
            before = time.monotonic()
            try:
                _PARTS[part](self, seed)
            except NothingToTryError:
                left.remove(part)
                continue
            self.counts.seeds[part] = seed + 1
            self.counts.seconds[part] = self.counts.seconds.get(part, 0.0) + time.monotonic() - before
            self._save()
            done += 1
        return self.counts

    def _save(self) -> None:
        scratch = self.folder / "state.new"
        state = {name: getattr(self.counts, name) for name in Counts.__dataclass_fields__}
        scratch.write_text(json.dumps(state))
        os.replace(scratch, self.folder / "state.json")

    def wanted(self, found: Iterable[T], name: Callable[[T], str]) -> list[T]:
        """The verbs, files or scenarios that are tried; raises NothingToTryError."""
        wanted = [one for one in found if not self.only or any(part in name(one) for part in self.only)]
        if not wanted:
            raise NothingToTryError
        return wanted

    def box(self, *, odd: bool = True) -> AbstractContextManager[Path]:
        """A sandbox with the samples."""
        return sandbox(self.work, self.folder / "boxes", () if odd else ODD)

    def tried(self, name: str, line: Sequence[str], ended: Ended, broken: Sequence[str], box: Path) -> None:
        """Keep what broke a promise, the first of its kind with its sandbox."""
        if not broken:
            return
        self.counts.faults += 1
        kind = re.sub(r"[^a-z]+", "-", f"{line[0] if line else ''} {broken[0]} {_last(ended)}".lower())[:150]
        place = self.folder / "faults" / kind.strip("-")
        print(
            f"{name}: {' '.join(line)!r}: {'; '.join(broken)}"[:600].encode(errors="replace").decode(),
            flush=True,
        )
        if place.exists() or len(list(place.parent.glob("*"))) >= KEPT:
            return
        place.parent.mkdir(exist_ok=True)
        shutil.copytree(box, place, symlinks=True, ignore=shutil.ignore_patterns("fifo"))
        found = {"name": name, "arguments": list(line), "broken": list(broken), "code": ended.code}
        (place / "fault.json").write_text(json.dumps(found, indent=1))


def _last(ended: Ended) -> str:
    lines = [line for line in ended.err.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _limit(line: Sequence[str]) -> float:
    return STOP_S if line and line[0] in oracle.AS_LONG_AS_ASKED else 120.0


def _arguments(campaign: Campaign, seed: int) -> None:
    rng = random.Random(f"arguments {seed}")
    found = campaign.wanted(verbs(), lambda verb: " ".join(verb.name))
    line = arguments.command_line(found[seed % len(found)], rng, samples.names(campaign.work))
    with campaign.box() as box:
        ended = run(line, box, limit_s=_limit(line))
        broken = oracle.said(ended, line) + _touched(box, campaign.work, line)
        campaign.counts.inputs += 1
        campaign.tried(f"arguments {seed}", line, ended, broken, box)


def _touched(box: Path, work: Path, line: Sequence[str]) -> list[str]:
    """Files that no command writes, and that are not there as they were."""
    if not {"-f", "--force"}.isdisjoint(line):
        return []
    kept = [
        p
        for p in work.rglob("*")
        if p.suffix in (".txt", ".png", ".npz", ".onnx", ".tflite", ".pte", ".pth", ".yaml")
    ]
    return [
        f"it changed {p.relative_to(work)}"
        for p in kept
        if not p.is_symlink() and not _same(p, box / "work" / p.relative_to(work))
    ]


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def _files(campaign: Campaign, seed: int) -> None:
    rng = random.Random(f"files {seed}")
    kinds = campaign.wanted(files.kinds(campaign.work), lambda kind: kind.file)
    with campaign.box() as box:
        line = files.choose(kinds[seed % len(kinds)], box, rng)
        ended = run(line, box, limit_s=_limit(line))
        campaign.counts.inputs += 1
        campaign.tried(f"files {seed}", line, ended, oracle.said(ended, line), box)


def _readers(campaign: Campaign, seed: int) -> None:
    names = campaign.wanted(readers.readers(campaign.work), str)
    name = names[seed % len(names)]
    with campaign.box() as box:
        count, broken, ended = readers.batch(name, seed // len(names), box)
        campaign.counts.inputs += count
        for one in broken:
            campaign.tried(f"readers {seed}", [name], ended, [one], box)


RUNS = (
    ("verify", "{}", "-n", "2"),
    ("classify", "{}", "photo.png"),
    ("blame", "{}", "-n", "2"),
    ("evaluate", "{}", "--images", "images/val"),
    ("benchmark", "{}", *deaths.MEASURE, *deaths.QUICK, "--check-output"),
)


def _runtimes(campaign: Campaign, seed: int) -> None:
    rng = random.Random(f"runtimes {seed}")
    made = (p for p in sorted((campaign.work / "made").glob("*")) if p.suffix in files.ARTIFACTS)
    found = campaign.wanted(made, lambda path: path.name)
    with campaign.box() as box:
        path = box / "work/made" / found[seed % len(found)].name
        files.broken_artifact(path, rng, found)
        how = rng.choices(RUNS, (4, 4, 2, 2, 1))[0]
        line = [part.replace("{}", f"made/{path.name}") for part in how]
        ended = run(line, box)
        campaign.counts.inputs += 1
        campaign.tried(f"runtimes {seed}", line, ended, oracle.said(ended, line), box)


def _deaths(campaign: Campaign, seed: int) -> None:
    """The next moment of the scenario of which the least was tried; all again once all were."""
    scenario, death = _moment(campaign)
    with campaign.box(odd=False) as box:
        died, broken, ended = deaths.attempt(scenario, death, box)
        campaign.counts.moments[scenario.name] = campaign.counts.moments.get(scenario.name, 0) + 1
        campaign.counts.deaths += died
        campaign.counts.inputs += not died
        name = f"deaths {seed} ({scenario.name} {death.number}{' torn' * death.torn} {death.whom})"
        campaign.tried(name, scenario.arguments, ended, broken, box)


def _moment(campaign: Campaign) -> tuple[deaths.Scenario, Death]:
    """What is next, after a run that nobody disturbs of each scenario that is met the first time."""
    done, known = campaign.counts.moments, campaign.known

    def turn(scenario: deaths.Scenario) -> tuple[int, int]:
        tried = done.get(scenario.name, 0)
        return tried // (len(known.get(scenario.name, ())) or tried + 1), tried

    while True:
        works = (s for s in deaths.scenarios(campaign.work) if known.get(s.name) != [])
        scenario = min(campaign.wanted(works, lambda one: one.name), key=turn)
        if scenario.name not in known:
            known[scenario.name] = _moments_of(scenario, campaign)
            continue
        points = list(known[scenario.name])
        random.Random(scenario.name).shuffle(points)  # one that ends early has been everywhere
        return scenario, points[done.get(scenario.name, 0) % len(points)]


def _moments_of(scenario: deaths.Scenario, campaign: Campaign) -> list[Death]:
    """All of them; none for one that fails by itself, which is a fault."""
    with campaign.box(odd=False) as box:
        try:
            return deaths.moments(deaths.undisturbed(scenario, box).changes)
        except deaths.FailsUndisturbedError as error:
            broken = [f"it fails undisturbed: {error.ended.err or error.ended.out}"]
            campaign.tried(f"deaths ({scenario.name})", error.arguments, error.ended, broken, box)
            return []


_PARTS: dict[str, Callable[[Campaign, int], None]] = {
    "arguments": _arguments,
    "files": _files,
    "readers": _readers,
    "runtimes": _runtimes,
    "deaths": _deaths,
}
