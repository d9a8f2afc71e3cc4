"""What is tried next, what is done already, and the closing line."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from . import arguments, deaths, files, oracle, readers, samples
from .command import Ended, run, sandbox
from .verbs import verbs

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
    seconds: dict[str, float] = field(default_factory=dict)

    def line(self) -> str:
        """The closing line."""
        kinds = ", ".join(f"{seed:,} {part}" for part, seed in sorted(self.seeds.items()))
        return f"fuzz: {self.inputs:,} inputs, {self.deaths:,} deaths, {self.faults:,} faults ({kinds})"


@dataclass(slots=True)
class Campaign:
    """A campaign whose state lies in a folder."""

    folder: Path
    work: Path  # the samples
    only: Sequence[str] = ()
    counts: Counts = field(default_factory=Counts)
    known: deaths.Scenarios = field(default_factory=deaths.Scenarios)

    def __post_init__(self) -> None:
        state = self.folder / "state.json"
        if state.exists():
            self.counts = Counts(**json.loads(state.read_text()))
        (self.folder / "boxes").mkdir(parents=True, exist_ok=True)

    def go(self, parts: Sequence[str], seconds: float, most: int) -> Counts:
        """Try until the time is over, or `most` seeds are done; each part has its share of the time."""
        until, done = time.monotonic() + seconds, 0
        while time.monotonic() < until and done < most:
            part = min(parts, key=lambda p: self.counts.seconds.get(p, 0.0) / SHARES[p])
            seed = self.counts.seeds.get(part, 0)
            before = time.monotonic()
            _PARTS[part](self, seed)
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

    def wants(self, name: str) -> bool:
        """Whether a verb, file or scenario of that name is tried."""
        return not self.only or any(part in name for part in self.only)

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
    found = [v for v in verbs() if campaign.wants(" ".join(v.name))]
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
    kinds = [k for k in files.kinds(campaign.work) if campaign.wants(k.file)]
    with campaign.box() as box:
        line = files.choose(kinds[seed % len(kinds)], box, rng)
        ended = run(line, box, limit_s=_limit(line))
        campaign.counts.inputs += 1
        campaign.tried(f"files {seed}", line, ended, oracle.said(ended, line), box)


def _readers(campaign: Campaign, seed: int) -> None:
    names = [n for n in readers.readers(campaign.work) if campaign.wants(n)]
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
    found = [
        p
        for p in sorted((campaign.work / "made").glob("*"))
        if p.suffix in files.ARTIFACTS and campaign.wants(p.name)
    ]
    if not found:
        return
    with campaign.box() as box:
        path = box / "work/made" / found[seed % len(found)].name
        files.broken_artifact(path, rng, found)
        how = rng.choices(RUNS, (4, 4, 2, 2, 1))[0]
        line = [part.replace("{}", f"made/{path.name}") for part in how]
        ended = run(line, box)
        campaign.counts.inputs += 1
        campaign.tried(f"runtimes {seed}", line, ended, oracle.said(ended, line), box)


def _deaths(campaign: Campaign, seed: int) -> None:
    """The seed's moment: each scenario in turn, its moments in order, from the first again after the last."""
    found = [s for s in deaths.scenarios(campaign.work) if campaign.wants(s.name)]
    scenario = found[seed % len(found)]
    with ExitStack() as stack:
        points = campaign.known.points(scenario, lambda: stack.enter_context(campaign.box(odd=False)))
        death = points[seed // len(found) % len(points)]
        box = stack.enter_context(campaign.box(odd=False))
        died, broken, ended = deaths.attempt(scenario, death, box)
        campaign.counts.deaths += died
        campaign.counts.inputs += not died
        name = f"deaths {seed} ({scenario.name} {death.number}{' torn' * death.torn} {death.whom})"
        campaign.tried(name, scenario.arguments, ended, broken, box)


_PARTS: dict[str, Callable[[Campaign, int], None]] = {
    "arguments": _arguments,
    "files": _files,
    "readers": _readers,
    "runtimes": _runtimes,
    "deaths": _deaths,
}
