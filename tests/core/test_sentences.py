"""Whatever went wrong, what a user reads is one printable line of at most 300 characters."""

from __future__ import annotations

import errno
import json
import signal
import tempfile
import unicodedata
from types import SimpleNamespace

import click
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regnet_edge import cli, errors
from regnet_edge.converters import isolated, worker
from regnet_edge.converters.quiet import ErrorStream
from regnet_edge.errors import LONGEST, RegNetEdgeError, UnknownNameError

# every letter there is, lone surrogates and controls too
TEXTS = st.text(st.characters(categories=None), max_size=400) | st.text(max_size=20).map(lambda t: t * 60)
same_capture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def classes() -> list[type[RegNetEdgeError]]:
    found = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, RegNetEdgeError)]
    return [c for c in found if c is not UnknownNameError]


def assert_sentence(said: str) -> None:
    assert len(said) <= LONGEST
    assert len(said.splitlines()) <= 1
    assert not {unicodedata.category(c) for c in said} & {"Cc", "Cs", "Zl", "Zp"}
    assert said == said.strip()


def test_every_class_of_the_tree_is_among_those_tried() -> None:
    def below(kind: type[RegNetEdgeError]) -> set[type[RegNetEdgeError]]:
        return {kind}.union(*(below(k) for k in kind.__subclasses__()))

    ours = {k for k in below(RegNetEdgeError) if k.__module__ == errors.__name__}
    assert ours == {*classes(), UnknownNameError}


@given(TEXTS, st.sampled_from(classes()))
def test_every_error_is_one(text: str, kind: type[RegNetEdgeError]) -> None:
    assert_sentence(str(kind(text)))


@given(st.text(max_size=500), st.lists(st.text(max_size=60), max_size=40))
def test_an_unknown_name_is_one(name: str, known: list[str]) -> None:
    assert_sentence(str(UnknownNameError("target", name, known)))


FAILURES = st.one_of(
    st.builds(lambda kind, text: kind(text), st.sampled_from(classes()), TEXTS),
    st.builds(lambda kind, text: kind(text), st.sampled_from([ValueError, KeyError, RuntimeError]), TEXTS),
    st.builds(click.UsageError, TEXTS),
    st.builds(click.FileError, TEXTS, TEXTS),
    st.builds(lambda name: OSError(errno.EIO, "Input/output error", name), TEXTS),
    st.builds(lambda text: OSError(text), TEXTS),
    st.sampled_from([MemoryError(), RecursionError(), KeyboardInterrupt(), click.Abort(), OSError()]),
)


@same_capture
@given(failure=FAILURES)
def test_whatever_a_command_ends_with_the_command_line_says_one(
    failure: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(**_: object) -> None:
        raise failure

    monkeypatch.setattr(cli, "cli", SimpleNamespace(main=fails))
    code = cli._ended()
    said = capsys.readouterr().err
    assert code in (1, 2, 130)
    assert said.count("\n") == 1
    assert_sentence(said[:-1])


@given(TEXTS, TEXTS)
def test_what_a_process_of_its_own_says_is_one_whatever_it_sends(kind: str, text: str) -> None:
    for sent in (text.encode(errors="replace"), json.dumps([kind, text]).encode(), json.dumps(text).encode()):
        assert_sentence(str(isolated._failure(sent)))
    assert_sentence(str(RegNetEdgeError(isolated._sentence(RuntimeError(text)))))


@given(TEXTS, st.sampled_from([1, 255, -signal.SIGSEGV, -signal.SIGKILL]))
def test_what_a_converting_process_died_of_is_one(text: str, code: int) -> None:
    with tempfile.TemporaryFile() as stream:
        stream.write(text.encode(errors="surrogatepass"))
        assert_sentence(worker.died(code, ErrorStream(stream)))


@given(TEXTS)
def test_what_a_converter_raises_is_one(text: str) -> None:
    told: list[worker.Event] = []

    class Broken:
        @property
        def asked(self) -> None:
            raise RuntimeError(text)

        job = SimpleNamespace(tasks=[SimpleNamespace(request=SimpleNamespace(target="onnx"))])

    worker.attempt(0, Broken(), SimpleNamespace(tell=told.append))  # type: ignore[arg-type]  # stand-ins
    assert [event.kind for event in told] == ["started", "failed"]
    assert_sentence(told[-1].sentence)


@pytest.mark.parametrize("name", ["\u2028", "\x85", "\x1b[31m", "a\nb", "x" * 5000, "[bold]", "\udcff"])
def test_names_of_files_go_through_whole_or_shortened(name: str, cli) -> None:  # type: ignore[no-untyped-def]
    done = cli("verify", f"{name}.onnx")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert_sentence(done.stderr[:-1])
    assert "[bold]" not in name or "[bold].onnx" in done.stderr


def test_pytorch_without_memory_is_no_fault_of_ours() -> None:
    with pytest.raises(RuntimeError) as told:
        torch.empty(1 << 50)
    assert "not enough memory" in cli._surroundings(told.value)
