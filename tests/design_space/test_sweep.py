"""Killed at any moment and started again, a sweep ends with the same table, by whichever workers."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock
from PIL import Image

from regnet_edge.cli.sweep import command
from regnet_edge.design_space import cluster, records, workers
from regnet_edge.design_space.population import Task, Trainer, subjects
from regnet_edge.design_space.records import Record, TrainingSubject
from regnet_edge.design_space.sampling import Regime, sample
from regnet_edge.design_space.spaces import ANYNET_X_A
from regnet_edge.design_space.spans import Span
from regnet_edge.design_space.stage_counts import Frame
from regnet_edge.design_space.sweep import Population, Shard, Step, read_population, sweep
from regnet_edge.errors import DataError, RegNetEdgeError, ToolError, UsageError
from regnet_edge.training.plan import Augmentation

TINY = replace(
    ANYNET_X_A, stages=2, depth=Span(1, 2), width=Span(8, 16, 8), frame=Frame(3, 2, 8, 1),
)  # fmt: skip


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Two classes of 12 images each to train on, and 4 to measure on."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for part, n in (("train", 12), ("val", 4)):
        for name, low in (("bright", 128), ("dark", 0)):
            (root / part / name).mkdir(parents=True)
            for i in range(n):
                pixels = rng.integers(low, low + 128, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{i:02}.png")
    return Task(str(root), batch_size=8, augmentation=Augmentation(1), precise_bn=16)


@pytest.fixture(scope="module")
def population(task: Task) -> Population:
    drawn = sample(TINY, 6, 0, Regime(resolution=8)).drawn
    return Population(task, subjects("tiny", drawn, 8, 2))


@pytest.fixture(scope="module")
def expected(population: Population) -> list[tuple[str, float | None]]:
    """The table by one process that nobody disturbs."""
    trainer = Trainer(population.task)
    return outcome(trainer.record(s) for s in population.subjects)


def outcome(found: object) -> list[tuple[str, float | None]]:
    return sorted((r.subject.key, r.error) for r in found)  # type: ignore[attr-defined]


def instant(task: Task, subjects: Sequence[TrainingSubject]) -> Iterator[Record]:
    """A runner that takes no time: the error follows from the network."""
    for s in subjects:
        blank = Record.failed(s, "even seeds fail", task.key)
        yield blank if s.seed % 2 == 0 else replace(blank, failure="", error=float(s.config.depth))


def test_records_of_somebody_else_are_left_alone(population: Population, tmp_path: Path) -> None:
    elses = tmp_path / "records.jsonl"
    elses.write_text("Kind of Blue, 1959\n")
    with pytest.raises(UsageError, match=r"records.jsonl exists and is nothing that this command writes"):
        sweep(population, tmp_path, instant)
    assert [p.name for p in tmp_path.iterdir()] == ["records.jsonl"]
    assert elses.read_text() == "Kind of Blue, 1959\n"


def stopping(after: int) -> object:
    def run(task: Task, subjects: Sequence[TrainingSubject]) -> Iterator[Record]:
        yield from itertools.islice(instant(task, subjects), after)
        raise KeyboardInterrupt

    return run


class TestOnDisk:
    def test_a_sweep_that_was_stopped_goes_on_with_what_has_no_record(
        self, population: Population, tmp_path: Path
    ) -> None:
        with pytest.raises(KeyboardInterrupt):
            sweep(population, tmp_path, stopping(2))  # type: ignore[arg-type]
        with (tmp_path / records.FILE).open("ab") as file:
            file.write(b'{"subject": {"arm": "ti')  # the line that a kill has cut
        steps: list[Step] = []
        clock = itertools.count(0, 10).__next__  # each look at it takes 10 s
        found = sweep(population, tmp_path, instant, progress=steps.append, clock=clock)
        assert [s.done for s in steps] == [2, 3, 4, 5, 6]
        assert [s.left_s for s in steps] == [None, 30, 20, 10, 0]
        assert outcome(found.records) == outcome(instant(population.task, population.subjects))
        assert not found.damaged
        assert len((tmp_path / records.FILE).read_text().splitlines()) == 6

    def test_failures_are_records_that_can_be_tried_again(
        self, population: Population, tmp_path: Path
    ) -> None:
        first = sweep(population, tmp_path, instant)
        assert len(first.trained) == 3
        assert len(first.records) == 6

        def mended(task: Task, subjects: Sequence[TrainingSubject]) -> Iterator[Record]:
            assert len(subjects) == 3
            yield from (replace(r, failure="", error=1.0) for r in instant(task, subjects))

        assert len(sweep(population, tmp_path, mended, retry_failed=True).trained) == 6

    def test_shards_together_are_the_whole(self, population: Population, tmp_path: Path) -> None:
        for i in (2, 1):
            found = sweep(population, tmp_path, instant, shard=Shard(i, 2))
        assert outcome(found.records) == outcome(instant(population.task, population.subjects))
        assert {f.name for f in tmp_path.glob("*.jsonl")} == {f"records-{i}-of-2.jsonl" for i in (1, 2)}

    def test_a_population_may_grow_and_be_asked_for_in_part_but_not_change(
        self, population: Population, tmp_path: Path
    ) -> None:
        few = replace(population, subjects=population.subjects[:4])
        assert len(sweep(few, tmp_path, instant).records) == 4
        assert len(sweep(population, tmp_path, instant).records) == 6
        assert len(sweep(few, tmp_path, instant).records) == 4
        assert read_population(tmp_path) == population
        other = replace(population, subjects=(replace(population.subjects[0], seed=9),))
        for changed in (other, replace(population, task=replace(population.task, lr=0.2))):
            with pytest.raises(UsageError, match="other networks or another task"):
                sweep(changed, tmp_path, instant)

    def test_two_sweeps_never_write_one_file(self, population: Population, tmp_path: Path) -> None:
        def nested(task: Task, subjects: Sequence[TrainingSubject]) -> Iterator[Record]:
            with pytest.raises(RegNetEdgeError, match=r"another sweep fills .*choose another --out"):
                sweep(population, tmp_path, instant)
            yield from instant(task, subjects)

        sweep(population, tmp_path, nested)

    def test_populations_and_shards_that_make_no_sense_are_refused(self, population: Population) -> None:
        with pytest.raises(UsageError, match="at least one network"):
            Population(population.task, ())
        with pytest.raises(UsageError, match="every network once"):
            Population(population.task, population.subjects[:1] * 2)
        with pytest.raises(UsageError, match="a shard is I/N"):
            Shard(3, 2)


class TestTrainer:
    def test_a_record_says_what_was_trained_and_how_well_after_each_epoch(
        self, population: Population
    ) -> None:
        subject = population.subjects[0]
        found = Trainer(population.task).record(subject)
        assert found.errors.keys() == {1, 2}
        assert found.error == found.errors[2]
        assert len(found.train_errors) == 2
        assert found.images == 8
        assert found.task == population.task.key
        assert found.versions["torch"] == version("torch")

    def test_a_network_that_diverges_or_finds_no_memory_is_a_record(
        self, population: Population, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import torch

        wild = Trainer(replace(population.task, lr=1e30, warmup_epochs=0.0))
        found = [wild.record(s) for s in population.subjects[:2]]
        assert all("the loss became" in r.failure and r.error is None for r in found)

        def out_of_memory(*_: object, **__: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")

        monkeypatch.setattr("regnet_edge.training.loop.measure", out_of_memory)
        failure = Trainer(population.task).record(population.subjects[0]).failure
        assert failure == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB more"

    def test_what_would_end_every_network_ends_the_sweep(
        self, population: Population, tmp_path: Path
    ) -> None:
        subject = population.subjects[0]
        with pytest.raises(DataError, match="no images in"):
            Trainer(replace(population.task, data=str(tmp_path))).record(subject)
        many = replace(subject, config=replace(subject.config, num_classes=10))
        with pytest.raises(UsageError, match="have 2 classes and 3 channels, the networks 10 and 3"):
            Trainer(population.task).record(many)
        import torch

        if not torch.cuda.is_available():
            with pytest.raises(ToolError, match="no CUDA device"):
                Trainer(population.task, "cuda").record(subject)

    def test_a_folder_without_val_is_measured_on_a_holdout(self, population: Population) -> None:
        bare = replace(population.task, data=str(Path(population.task.data) / "train"))
        with pytest.raises(DataError, match=r"add them, or pass --holdout 0\.1"):
            Trainer(bare).record(population.subjects[0])
        kept = Trainer(replace(bare, holdout=0.25))
        assert kept.record(population.subjects[0]).images == 6
        assert len(kept.dataset.train) == 18
        with pytest.raises(UsageError, match="holdout lies in"):
            replace(bare, holdout=1.0)

    def test_a_tasks_key_does_not_tell_where_its_images_lie(self, task: Task) -> None:
        moved = replace(task, data="/elsewhere/" + Path(task.data).name)
        assert moved.key == task.key != replace(task, lr=0.2).key


class Light(Trainer):
    """What a process can be given instead of a training that loads torch."""

    def record(self, subject: TrainingSubject) -> Record:
        time.sleep(0.05)
        return next(instant(self.task, [subject]))


class Hopeless(Light):
    """Says what would end every network."""

    def record(self, subject: TrainingSubject) -> Record:
        raise DataError("no images in nowhere; put some there")


class Endless(Light):
    """Holds a lock, and trains for ever."""

    def record(self, subject: TrainingSubject) -> Record:
        with FileLock(Path(self.task.data, "lock")):
            Path(self.task.data, "begun").touch()
            time.sleep(600)
        raise AssertionError


def train_for_ever(task: Task, population: Population) -> None:
    list(workers.train_all(task, population.subjects, make=Endless))


class TestWorkers:
    def test_one_ends_with_a_sweep_that_is_killed(self, population: Population, tmp_path: Path) -> None:
        asked = (replace(population.task, data=str(tmp_path)), population)
        killed = multiprocessing.get_context("spawn").Process(target=train_for_ever, args=asked)
        killed.start()
        while not (tmp_path / "begun").exists():
            assert killed.is_alive()
            time.sleep(0.05)
        killed.kill()
        killed.join()
        with FileLock(tmp_path / "lock", timeout=60):  # it ends with the process that holds it
            pass

    def test_one_that_is_killed_loses_nothing(self, population: Population) -> None:
        found = workers.train_all(population.task, population.subjects, workers=2, make=Light)
        first = [next(found)]
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        assert outcome([*first, *found]) == outcome(instant(population.task, population.subjects))
        assert not multiprocessing.active_children()

    def test_a_network_whose_processes_die_is_a_record_and_the_rest_go_on(
        self, population: Population, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(workers, "TRIES", 1)
        first, second = population.subjects[:2]

        def kill_the_first() -> None:
            while not multiprocessing.active_children():
                time.sleep(0.01)
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_the_first)
        killer.start()
        found = {r.subject: r for r in workers.train_all(population.task, [first, second], make=Light)}
        killer.join()
        assert "killed by signal 9" in found[first].failure
        assert found[second].error is not None

    def test_what_would_end_every_network_is_said_once_and_no_process_stays(
        self, population: Population
    ) -> None:
        with pytest.raises(DataError, match=r"^no images in nowhere; put some there$"):
            list(workers.train_all(population.task, population.subjects, workers=2, make=Hopeless))
        assert not multiprocessing.active_children()


@pytest.fixture
def scheduler() -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """A Dask scheduler with two workers on loopback, as processes of their own."""
    pytest.importorskip("distributed")
    start = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    processes = [subprocess.Popen([*start, "--no-dashboard"], stderr=subprocess.PIPE, text=True)]
    log = processes[0].stderr
    assert log is not None
    reader = threading.Thread(target=log.read, daemon=True)
    try:
        address = next(m[0] for line in log if (m := re.search(r"tcp://127\.0\.0\.1:\d+", line)))
        reader.start()
        work = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]
        processes += [
            subprocess.Popen([*work, "--no-dashboard"], stderr=subprocess.DEVNULL, text=True)
            for _ in range(2)
        ]
        yield address, processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
        if reader.is_alive():
            reader.join()
        log.close()


class TestCluster:
    def test_a_cluster_gives_the_same_table_though_a_worker_is_killed(
        self,
        population: Population,
        expected: list[tuple[str, float | None]],
        scheduler: tuple[str, list[subprocess.Popen[str]]],
    ) -> None:
        address, processes = scheduler
        found = cluster.train_all(population.task, population.subjects, address)
        first = [next(found)]
        processes[1].kill()
        assert outcome([*first, *found]) == expected

    def test_a_scheduler_that_does_not_answer_is_said_in_a_sentence(
        self, population: Population, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("distributed")
        monkeypatch.setattr(cluster, "PATIENCE_S", 0.2)
        error = ModuleNotFoundError("No module named 'regnet_edge'")
        with pytest.raises(ToolError, match="install regnet-edge on them"):
            cluster._answer(population.task, population.subjects[0], error, None)
        with pytest.raises(ToolError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9; start one"):
            list(cluster.train_all(population.task, population.subjects, "tcp://127.0.0.1:9"))


class TestVerb:
    def test_a_sweep_killed_in_the_middle_ends_with_the_table_of_one_that_was_not(
        self, task: Task, tmp_path: Path
    ) -> None:
        space = "AnyNetX_A:stages=2,d=1-2,w=8-16,stem_width=8,stem_stride=1"
        asked = ["sweep", space, "--data", task.data, "--nets", "4", "--epochs", "2", "-r", "8"]
        start = [
            sys.executable,
            "-c",
            "from regnet_edge.cli import main; main()",
            *asked,
            "--batch-size",
            "8",
            "--json",
            "--out",
        ]
        killed = subprocess.Popen(
            [*start, str(tmp_path / "killed")], stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert killed.stderr is not None
        for line in killed.stderr:
            if line.startswith("1/4"):
                break
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        killed.stderr.close()
        kept = records.read(tmp_path / "killed").records
        assert 1 <= len(kept) < 4
        done = subprocess.run([*start, str(tmp_path / "killed")], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["trained"] == 4
        found = records.read(tmp_path / "killed").records
        assert found[: len(kept)] == kept  # not trained again
        trainer = Trainer(replace(task, augmentation=Augmentation(), precise_bn=1024))
        assert outcome(found) == outcome(trainer.record(r.subject) for r in found)

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["AnyNetX_A", "--shard", "2"], "a shard reads I/N"),
            (["AnyNetX_A", "--shard", "3/2"], "a shard is I/N with 1 <= I <= N"),
            (["AnyNetX_A", "--flops", "1-2"], "no network in 1e-06 to 2e-06 MF: AnyNetX_A reaches"),
            (["AnyNetX_Z"], "unknown design space"),
            (["AnyNetX_A", "--data", "nowhere"], "nowhere"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_before_anything_is_trained(
        self, arguments: list[str], sentence: str, task: Task, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        asked = ["--data", task.data, "--nets", "2", "--out", str(out), *arguments]
        error = CliRunner().invoke(command, asked).exception
        assert isinstance(error, RegNetEdgeError)
        assert sentence in str(error)
        assert not list(out.glob("*.jsonl"))
