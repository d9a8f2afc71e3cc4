"""A file's runtime in a process of its own: a file that kills its runtime ends in a sentence.

The process is forked where that is safe, so that it starts at once and shares what is loaded; elsewhere it
is spawned. What comes back is text and plain numbers, never pickled objects: a damaged file may have
taken hold of that process.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from regnet_edge import codec, errors
from regnet_edge.artifact import Artifact
from regnet_edge.errors import ArtifactError, RegNetEdgeError, lacks_memory
from regnet_edge.lifetime import end_with
from regnet_edge.reading import UnreadableError, parse_json, parse_json_object

from .contents import Contents
from .opened import ImageInput, OpenedFile
from .quiet import ErrorStream

if TYPE_CHECKING:
    from . import Converter, Floats

_TEXT, _NUMBERS, _FAILED = b"t", b"n", b"f"
_DEBUG = "REGNET_EDGE_DEBUG"
_SPOKEN = 100  # characters of a runtime's last words
_PATIENCE_S = 5.0  # for a process to end that was told to

Work = Callable[..., None]  # takes a Pipe, then what it was started with


def run(converter: Converter, artifact: Artifact, images: Floats) -> Floats:
    """`converter.run`: logits (n, classes); raises ArtifactError where the file kills its runtime."""
    with contextlib.closing(IsolatedProcess(artifact.path, _run_once, converter, artifact, images)) as apart:
        return apart.numbers()


def outputs(converter: Converter, artifact: Artifact, images: Floats) -> Floats:
    """`converter.outputs` in a process of its own: every output side by side."""
    with contextlib.closing(
        IsolatedProcess(artifact.path, _outputs_once, converter, artifact, images)
    ) as apart:
        return apart.numbers()


def running(converter: Converter, artifact: Artifact) -> IsolatedProcess:
    """`converter.run` as a function of images, in one process for every call."""
    return IsolatedProcess(artifact.path, _run_often, converter, artifact)


def opened(converter: Converter, path: Path) -> OpenedFile:
    """`converter.opened`, whose file is loaded and run in one process of its own."""
    apart = IsolatedProcess(path, _open, converter, path)
    try:
        told = codec.from_json(parse_json_object(apart.text()), _Described)
    except (UnreadableError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); make the file again") from error
    return OpenedFile(path, told.input, apart, told.metadata, told.labels)


def contents(converter: Converter, path: Path) -> Contents:
    """`converter.contents`, read in a process of its own; raises ArtifactError where it cannot be read."""
    text = told(path, _contents, converter, path)
    try:
        return codec.from_json(parse_json_object(text), Contents)
    except (UnreadableError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); make the file again") from error


def _contents(converter: Converter, path: Path) -> str:
    return codec.canonical(converter.contents(path))


def told(path: Path, work: Callable[..., str], *given: Any) -> str:
    """The text that `work(*given)` returns in a process of its own; `path` is the file it looks into."""
    with contextlib.closing(IsolatedProcess(path, _tell, work, *given)) as apart:
        return apart.text()


@dataclass(frozen=True, slots=True)
class _Described:
    """What an OpenedFile says of itself, as it goes through a pipe."""

    input: ImageInput
    metadata: Mapping[str, str]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pipe:
    """Text and numbers over a connection."""

    line: Connection

    def tell(self, text: str, kind: bytes = _TEXT) -> None:
        """Send a text."""
        self.line.send_bytes(kind + text.encode(errors="replace"))

    def give(self, values: Floats) -> None:
        """Send numbers: their shape, then themselves as float32."""
        self.line.send_bytes(_NUMBERS + json.dumps(values.shape).encode())
        self.line.send_bytes(np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint8).data)

    def take(self) -> Floats:
        """The numbers that come next; raises EOFError where nothing comes any more."""
        return self.numbers(self.line.recv_bytes()[1:])

    def numbers(self, shape: bytes) -> Floats:
        """The numbers of that shape, which follow it."""
        return np.frombuffer(self.line.recv_bytes(), np.float32).reshape(parse_json(shape.decode()))


class IsolatedProcess:
    """A process that works on one file; callable with images where its work answers them."""

    def __init__(self, path: Path, work: Work, *given: Any) -> None:
        from .worker import forks

        context = multiprocessing.get_context("fork" if forks() else "spawn")
        here, there = context.Pipe()
        said = tempfile.TemporaryFile()  # noqa: SIM115  # _end closes it
        forked = context.get_start_method() == "fork"
        inherited = (here, said.fileno(), "torch" in sys.modules) if forked else (None, None, False)
        self._path, self._said, self._pipe = path, ErrorStream(said), Pipe(here)
        self._process: Any = context.Process(  # type: ignore[attr-defined]  # both contexts have it
            target=_work, args=(there, os.getpid(), inherited, work, *given), daemon=True
        )
        self._process.start()
        there.close()
        self.close = weakref.finalize(self, _end, os.getpid(), self._process, here, said)

    def __call__(self, images: Floats) -> Floats:
        """The answers of the process to these images."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # what it died of is read below
            self._pipe.give(images)
        return self.numbers()

    def text(self) -> str:
        """The text that comes next; raises what the process failed with, ArtifactError if it died."""
        return self._next(_TEXT).decode(errors="replace")

    def numbers(self) -> Floats:
        """The numbers that come next; raises as `text` does."""
        shape = self._next(_NUMBERS)
        try:
            return self._pipe.numbers(shape)
        except (EOFError, OSError, ValueError, TypeError) as error:
            raise self._died() from error

    def _next(self, kind: bytes) -> bytes:
        try:
            message = self._pipe.line.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._died() from error
        if message[:1] == _FAILED:
            raise _failure(message[1:])
        if message[:1] != kind:
            raise self._died()
        return message[1:]

    def _died(self) -> RegNetEdgeError:
        self._process.join(_PATIENCE_S)
        code = self._process.exitcode
        if code == -signal.SIGKILL:
            return ArtifactError(f"the process that ran {self._path} was killed; is there enough memory?")
        how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with code {code}"
        last = self._said.last_line()[:_SPOKEN]
        return ArtifactError(
            f"the runtime that was given {self._path} ended {how}{f' ({last})' if last else ''}; "
            "the file is damaged or not for this runtime: convert the model again"
        )


def _end(owner: int, process: Any, line: Connection, said: BinaryIO) -> None:
    """End the process, which has nothing to lose; a fork of its owner has a copy of this, and no say."""
    if os.getpid() != owner:
        return
    line.close()
    process.kill()
    process.join(_PATIENCE_S)
    said.close()


def _failure(message: bytes) -> RegNetEdgeError:
    """The error of the process as the class that it was there."""
    try:
        kind, text = parse_json(message.decode())
        found = getattr(errors, str(kind), ArtifactError)
    except (ValueError, TypeError):
        return ArtifactError("the file's runtime failed without a readable word; convert the model again")
    plain = isinstance(found, type) and issubclass(found, RegNetEdgeError)
    made: RegNetEdgeError = RegNetEdgeError.__new__(found if plain else ArtifactError)
    RegNetEdgeError.__init__(made, str(text))
    return made


def _work(line: Connection, parent: int, inherited: Any, work: Work, *given: Any) -> None:
    """What the process does: its work, and the sentence of what went wrong."""
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it ends it
    _settle(*inherited)
    pipe = Pipe(line)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # nobody listens any more
        try:
            work(pipe, *given)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except RegNetEdgeError as error:
            pipe.tell(json.dumps([type(error).__name__, str(error)]), _FAILED)
        except Exception as error:  # noqa: BLE001  # a runtime may raise anything for a damaged file
            if os.environ.get(_DEBUG):
                traceback.print_exc()
            pipe.tell(json.dumps(["ArtifactError", _sentence(error)]), _FAILED)


def _settle(other_end: Connection | None, said: int | None, pool_lost: bool) -> None:
    """What a forked process leaves behind: the other end, the terminal, torch's threads."""
    if other_end is not None:
        other_end.close()
    faulthandler.disable()  # who started it says in a sentence what it died of
    if said is not None and not os.environ.get(_DEBUG):
        os.dup2(said, 2)
    if pool_lost:
        import torch

        torch.set_num_threads(1)  # its pool did not come along


def _sentence(error: Exception) -> str:
    if lacks_memory(error):
        return "the file asks for more memory than there is; close other programs, or convert it again"
    reason = " ".join(str(error).split())[:120] or "no reason given"
    return f"the file cannot be run ({type(error).__name__}: {reason}); convert the model again"


def _run_once(pipe: Pipe, converter: Converter, artifact: Artifact, images: Floats) -> None:
    pipe.give(converter.run(artifact, images))


def _outputs_once(pipe: Pipe, converter: Converter, artifact: Artifact, images: Floats) -> None:
    pipe.give(converter.outputs(artifact, images))


def _run_often(pipe: Pipe, converter: Converter, artifact: Artifact) -> None:
    for images in _given(pipe):
        pipe.give(converter.run(artifact, images))


def _open(pipe: Pipe, converter: Converter, path: Path) -> None:
    found = converter.opened(path)
    pipe.tell(codec.canonical(_Described(found.input, dict(found.metadata), found.labels)))
    for images in _given(pipe):
        pipe.give(np.asarray(found.forward(images), np.float32))


def _given(pipe: Pipe) -> Iterator[Floats]:
    while True:
        yield pipe.take()


def _tell(pipe: Pipe, work: Callable[..., str], *given: Any) -> None:
    pipe.tell(work(*given))
