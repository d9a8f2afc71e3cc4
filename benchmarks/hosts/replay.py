"""A session with a phone that was taken down with --record, rerun without the phone: `replay:FILE`."""

from __future__ import annotations

from pathlib import Path

from . import HostOptions
from ._phone import Phone
from ._transcript import Replayed


def connect(rest: str, options: HostOptions) -> Phone:
    """The phone of the transcript; waits cost nothing."""
    return Phone(Replayed.read(Path(rest)), options.app, options.native, sleep=lambda _: None)
