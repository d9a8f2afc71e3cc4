"""A file and its sidecar appear as one step, whoever dies or comes second."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from regnet_edge.artifact import Artifact, Structure, place, sidecar_of
from regnet_edge.converters import Assignment, assign
from regnet_edge.converters.standing import standing
from regnet_edge.errors import ArtifactError
from regnet_edge.files import scratch_beside
from regnet_edge.request import ExportRequest, ModelSpec


@pytest.fixture
def pair(tiny: ModelSpec) -> tuple[Assignment, Assignment]:
    """Two requests whose files have one name."""
    one, two = (assign(ExportRequest(replace(tiny, licence=name), "onnx")) for name in ("one", "two"))
    return one, two


def put(asked: Assignment, folder: Path, *, at: int = 0, force: bool = False, meet: int = 1) -> None:
    """What a conversion does once its file is made, which here is the licence of its model.

    at: die after so many renames; meet: wait for so many processes that are as far.
    """
    out, done, rename = asked.path(folder), 0, os.replace

    def counted(source: Path, target: Path) -> None:
        nonlocal done
        rename(source, target)
        done += 1
        if done == at:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = counted
    try:
        standing(asked, out, force=force)
        with scratch_beside(out) as scratch:
            scratch.write_text(asked.request.model.licence)
            made = Artifact.describe(scratch, asked.request, Structure(1, 0, {}), asked.tools(), 1.0)
            made.save()
            (folder.parent / f"{os.getpid()}.here").touch()
            while len(list(folder.parent.glob("*.here"))) < meet:
                time.sleep(0.01)
            place(made, out, lambda: standing(asked, out, force=force))
    finally:
        os.replace = rename


def tried(asked: Assignment, folder: Path, **how: int) -> None:
    """`put`, whose refusal is kept."""
    try:
        put(asked, folder, **how)
    except ArtifactError as error:
        (folder.parent / asked.request.model.licence).write_text(str(error))
        sys.exit(1)


def apart(asked: Assignment, folder: Path, **how: int) -> BaseProcess:
    """A process that does it."""
    run = get_context("fork").Process(target=tried, args=(asked, folder), kwargs=how)
    run.start()
    return run


def killed(asked: Assignment, folder: Path, at: int, *, force: bool) -> bool:
    """Whether it died there."""
    run = apart(asked, folder, at=at, force=force)
    run.join()
    return run.exitcode == -signal.SIGKILL


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("elder", [False, True])
def test_death_after_any_rename_leaves_a_pair_or_what_the_same_run_heals(
    pair: tuple[Assignment, Assignment], tmp_path: Path, elder: bool
) -> None:
    one, two = pair
    for at in (1, 2, 3):  # the sidecar's own, the sidecar, the file
        out = tmp_path / f"out-{at}"
        path = two.path(out)
        if elder:
            put(one, out)
        assert killed(two, out, at, force=elder)
        with contextlib.suppress(ArtifactError):  # never one's file with the other's sidecar
            assert Artifact.load(path).request.model.licence == path.read_text()
        put(two, out, force=elder)
        assert Artifact.load(path).request.model.licence == path.read_text() == "two"
        assert names(out) == [path.name, f"{path.name}.json"]


def test_the_sidecar_s_rename_is_the_step_and_whoever_comes_next_finishes_it(
    pair: tuple[Assignment, Assignment], tmp_path: Path
) -> None:
    (one, two), out = pair, tmp_path / "out"
    path = two.path(out)
    put(one, out)
    assert killed(two, out, 2, force=True)
    with pytest.raises(ArtifactError, match="sha256 differs"):
        Artifact.load(path)
    assert standing(two, path, force=False) is not None
    assert path.read_text() == "two"
    assert names(out) == [path.name, f"{path.name}.json"]


def test_a_sidecar_of_ours_without_its_file_is_not_in_the_way_and_another_json_is(
    pair: tuple[Assignment, Assignment], tmp_path: Path
) -> None:
    one, out = pair[0], tmp_path / "out"
    put(one, out)
    path = one.path(out)
    path.unlink()
    assert standing(one, path, force=False) is None
    sidecar_of(path).write_text('{"mine": 1}')
    with pytest.raises(ArtifactError, match="is in the way"):
        standing(one, path, force=False)


def test_of_two_requests_for_one_name_at_once_one_wins_and_the_other_says_so(
    pair: tuple[Assignment, Assignment], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    runs = [apart(asked, out, meet=2) for asked in pair]
    for run in runs:
        run.join()
    assert sorted(run.exitcode or 0 for run in runs) == [0, 1]
    lost, won = sorted(pair, key=lambda a: (tmp_path / a.request.model.licence).exists(), reverse=True)
    said = (tmp_path / lost.request.model.licence).read_text()
    assert "was made from another request; pass --force" in said
    found = Artifact.load(won.path(out))
    assert found.request.model.licence == found.path.read_text() == won.request.model.licence


def test_a_sidecar_is_not_renewed_over_another_s_file(
    pair: tuple[Assignment, Assignment], tmp_path: Path
) -> None:
    (one, two), out = pair, tmp_path / "out"
    put(one, out)
    read = Artifact.load(one.path(out))
    put(two, out, force=True)
    with pytest.raises(ArtifactError, match="was replaced while this ran"):
        read.renew()
    assert Artifact.load(one.path(out)).request.model.licence == "two"
