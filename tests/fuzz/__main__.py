"""The campaigns as a command; exit code 1 where a promise was broken."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a pool of threads does not survive a fork

PARTS = ("arguments", "files", "readers", "runtimes", "deaths")
TARGETS = ("onnx", "tflite", "coreml", "executorch")


def main() -> int:
    """Parse, load, go on where the state folder stands, and print the counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path("build/fuzz"), help="folder of what is done")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--inputs", type=int, default=10**9, help="stop after so many")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this; repeatable")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        help="only verbs, files or scenarios with this in their name; repeatable",
    )
    parser.add_argument("--targets", default=",".join(TARGETS), help="formats whose files are tried")
    parser.add_argument("--corpus", action="store_true", help="first the inputs that broke something once")
    asked = parser.parse_args()
    from . import command, corpus, samples
    from .campaign import Campaign

    state = asked.state.resolve()
    targets = tuple(t for t in asked.targets.split(",") if t)
    command.load(targets)
    work = samples.make(state / "samples", targets=targets)
    command.warm(work / "made")
    campaign = Campaign(state, work, asked.only)
    again = list(corpus.replay(work, state / "boxes")) if asked.corpus else []
    print("".join(f"{broken}\n" for broken in again), end="")
    before = campaign.counts.faults
    counts = campaign.go(asked.part or PARTS, asked.minutes * 60, asked.inputs)
    print(counts.line())
    return int(counts.faults > before or bool(again))


if __name__ == "__main__":
    sys.exit(main())
