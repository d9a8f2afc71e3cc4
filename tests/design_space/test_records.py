"""Records are whole lines: what was written is read back, and what was damaged is named and left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from regnet_edge import codec
from regnet_edge.complexity import complexity
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.design_space.records import Record, Rule, TrainingSubject, append, read
from regnet_edge.errors import DataError, UsageError

NET = AnyNetConfig((Stage(1, 8, 8), Stage(2, 16, 8)), stem_width=8, num_classes=2)


def record(index: int, error: float | None = 20.0, arm: str = "A") -> Record:
    subject = TrainingSubject(arm, index, NET, 32, 2, seed=index, draw=7, rule=Rule(3, 8, 8.0, 2.0))
    if error is None:
        return Record.failed(subject, "the loss became\nnan")
    counts = complexity(NET, 32)
    return Record(
        subject, counts.flops, counts.params, counts.activations, error, {1: 40.0, 2: error}, (50.0, 30.0)
    )


def test_what_was_written_is_read_back_in_order_of_the_index(tmp_path: Path) -> None:
    append(tmp_path / "records-2.jsonl", [record(3), record(1, None)])
    append(tmp_path / "records-1.jsonl", [record(2)])
    found = read(tmp_path)
    assert found.records == (record(1, None), record(2), record(3))
    assert [r.subject.index for r in found.trained] == [2, 3]
    assert found.records[0].failure == "the loss became nan"


def test_what_is_left_of_a_cut_line_goes_before_the_next_record(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    append(file, [record(1), record(2)])
    written = file.read_bytes()
    second = written.index(b"\n") + 1
    for size in (0, 1, second - 2, second - 1, second, second + 1, len(written) - 2, len(written) - 1):
        file.write_bytes(written[:size])
        append(file, [record(3)])
        found = read(file)
        whole = [1] * (size >= second - 1) + [2] * (size >= len(written) - 1)
        assert [r.subject.index for r in found.records] == [*whole, 3], size
        assert not found.damaged


def test_a_damaged_line_is_named_and_the_rest_is_used(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    append(file, [record(1), record(2)])
    file.write_bytes(file.read_bytes()[:-30] + b"\n")
    append(file, [record(3)])
    found = read(file)
    assert [r.subject.index for r in found.records] == [1, 3]
    [sentence] = found.damaged
    assert f"{file}, line 2" in sentence


def test_a_success_replaces_a_failure_of_the_same_subject(tmp_path: Path) -> None:
    append(tmp_path / "records.jsonl", [record(1, None), record(1), replace(record(1), error=9.0)])
    assert [r.error for r in read(tmp_path).records] == [20.0]


def test_a_record_as_a_row_has_the_counts_and_each_stages_numbers() -> None:
    row = record(4).row()
    assert row["error"] == 20.0
    assert (row["d2"], row["w2"], row["g1"], row["b1"]) == (2, 16, 8, 1.0)
    assert (row["w0"], row["wm"], row["depth"]) == (8, 2.0, 3)
    assert row["flops"] == complexity(NET, 32).flops


def test_records_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="between 0 and 100"):
        replace(record(1), error=float("nan"))
    with pytest.raises(DataError, match="an error or a failure"):
        replace(record(1), failure="no")
    with pytest.raises(UsageError, match="resolution is at least 1"):
        replace(record(1).subject, resolution=0)
    with pytest.raises(DataError, match="no records at"):
        read(tmp_path)
    append(tmp_path / "records.jsonl", [record(1)])
    with pytest.raises(UsageError, match="its arms are A"):
        read(tmp_path).arm("B")


def test_the_key_of_a_network_names_only_what_differs_from_the_defaults() -> None:
    stages = [{"depth": 1, "group_width": 8, "width": 8}, {"depth": 2, "group_width": 8, "width": 16}]
    assert json.loads(codec.essence(record(5).subject)) == {
        "arm": "A", "index": 5, "seed": 5, "draw": 7, "epochs": 2, "resolution": 32,
        "config": {"stages": stages, "stem_width": 8, "num_classes": 2},
        "rule": {"depth": 3, "w0": 8, "wa": 8.0, "wm": 2.0},
    }  # fmt: skip
    assert len({record(5).subject.key, replace(record(5).subject, seed=6).key, record(6).subject.key}) == 3
