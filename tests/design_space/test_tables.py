"""Tables of networks: any file that names its columns, and a sentence for what cannot be used."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regnet_edge import zoo
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.design_space import records
from regnet_edge.design_space.table_files import net_row, of_config, read_table
from regnet_edge.design_space.tables import (
    RECOGNISED,
    Filter,
    NetRow,
    NetTable,
    Scored,
    Shape,
    matched,
    scored,
    told_apart,
)
from regnet_edge.errors import DataError, RegNetEdgeError, UsageError

FULL = {"ds": [2, 3, 4], "ss": [1, 2, 2], "ws": [16, 32, 64], "bot_muls": [1, 0.5, 1], "num_gs": [1, 2, 4]}
NARROW = {"ds": [1, 1, 1], "ss": [1, 2, 2], "ws": [16, 16, 16]}
NDS = [
    {"net": FULL, "optim": {"lr": 0.1, "wd": 5e-4}, "params": 3e5, "flops": 4e7, "min_test_top1": 7.5},
    {"net": NARROW, "optim": {"lr": 0.1, "wd": 5e-4}, "params": 1e5, "flops": 2e7, "min_test_top1": 9},
    {"net": {"ds": [1, 1]}, "params": 1e5, "flops": 3e7},
]


def table(*rows: dict[str, object]) -> NetTable:
    return NetTable("t", tuple(net_row(r, f"record {i}") for i, r in enumerate(rows, 1)))


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_recordings_of_2019_read_as_they_are(tmp_path: Path) -> None:
    found = scored(read_table(write(tmp_path / "ResNeXt-A.json", json.dumps(NDS))))
    assert (found.name, found.value, found.recognised) == ("ResNeXt-A", "min_test_top1", True)
    assert found.values.tolist() == [7.5, 9]
    assert found.column("depth").tolist() == [9, 3]
    assert found.column("width_3").tolist() == [64, 16]
    assert found.column("bot_muls_2").tolist()[0] == 0.5
    assert found.left_out == ("record 3 has no min_test_top1",)


def test_csv_json_lines_and_json_tell_the_same(tmp_path: Path) -> None:
    rows = [
        {"name": f"n{i}", "error": 10.5 + i, "flops": 1e6 * i, "depths": [1, 2], "widths": [8, 16]}
        for i in (1, 2)
    ]
    lines = "\n".join(map(json.dumps, rows))
    csv = "name,error,flops,depths,widths\n" + "\n".join(
        f'n{i},{10.5 + i},{1e6 * i},"{d}",{w}' for i, d, w in ((1, "[1, 2]", "8 16"), (2, "1;2", "8 16"))
    )
    files = {
        "a.jsonl": lines,
        "b.json": json.dumps({"nets": rows}),
        "c.csv": csv,
        "d.tsv": csv.replace(",", "\t"),
    }
    for name, text in files.items():
        if name == "d.tsv":
            text = "name\terror\tflops\tdepths\twidths\n" + "\n".join(
                f"n{i}\t{10.5 + i}\t{1e6 * i}\t1 2\t8 16" for i in (1, 2)
            )
        found = read_table(write(tmp_path / name, text))
        assert [r.name for r in found.records] == ["n1", "n2"], name
        assert found.column("error").tolist() == [11.5, 12.5], name
        assert found.column("width_2").tolist() == [16, 16], name
        assert found.column("depth").tolist() == [3, 3], name


def test_a_record_that_cannot_be_read_is_named_and_the_others_are_used(tmp_path: Path) -> None:
    whole = '{"error": 5, "depths": [1], "widths": [8]}'
    bad = [
        '{"error": 5',
        "[1, 2]",
        '{"error": 5, "depths": [1, 2], "widths": [8]}',
        '{"stages": [{"depth": 1}]}',
    ]
    found = read_table(write(tmp_path / "t.jsonl", "\n".join([whole, *bad, "", whole])))
    assert len(found) == 2
    assert [x.split(":")[0] for x in found.left_out] == ["line 2", "line 3", "line 4", "line 5"]
    csv = read_table(write(tmp_path / "t.csv", "error,flops\n1,2\n1\n1,2,3\nnan,4\n"))
    assert [x.split(":")[0] for x in csv.left_out] == ["line 3", "line 4"]
    assert scored(csv).left_out[-1] == "line 5 has not a finite error"


def test_files_that_hold_no_table_get_one_sentence(tmp_path: Path) -> None:
    files = {
        "empty.csv": "",
        "empty.jsonl": "\n",
        "text.json": "hello",
        "number.json": "7",
        "list.json": "[1, 2]",
    }
    for name, text in files.items():
        with pytest.raises(DataError) as refused:
            read_table(write(tmp_path / name, text))
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 300
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    for path in (tmp_path / "binary.csv", tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(DataError):
            read_table(path)


def test_a_missing_column_is_refused_with_those_that_are_there() -> None:
    found = table({"err": 1.0, "flops": 3.0}, {"err": 2.0, "flops": 4.0})
    with pytest.raises(UsageError, match=r"t has no column 'error'; it has err, flops$"):
        found.column("error")
    with pytest.raises(UsageError, match="--value; t has err, flops"):
        scored(found)
    many = table({f"column_{i}_number": 1.0 for i in range(200)})
    with pytest.raises(UsageError, match=r"\.\.\.$") as refused:
        many.column("error")
    assert len(str(refused.value)) <= 300


def test_the_end_of_a_nested_name_is_enough_where_it_is_the_only_one() -> None:
    found = table({"model": {"flops": 1.0}, "a": {"x": 2.0}, "b": {"x": 3.0}})
    assert found.resolve("flops") == "model.flops"
    with pytest.raises(UsageError, match=r"it has a\.x, b\.x"):
        found.resolve("x")


def test_errors_that_are_no_numbers_are_left_out_and_none_at_all_is_refused() -> None:
    found = scored(
        table({"error": 5.0}, {"error": math.nan}, {"error": math.inf}, {"status": "diverged"}, {"error": 4})
    )
    assert found.values.tolist() == [5, 4]
    assert found.left_out[-1] == "record 4 has no error (diverged)"
    with pytest.raises(DataError, match="none of the 1 records of t has a finite error"):
        scored(table({"error": math.nan}))


def test_an_accuracy_becomes_an_error() -> None:
    assert scored(table({"top1": 70.0}, {"top1": 80.0}), "100-top1").values.tolist() == [30, 20]


@pytest.mark.parametrize("name", RECOGNISED)
def test_recognised_columns_are_said_to_be_recognised(name: str) -> None:
    row = NetRow("a", {name: 1.0})
    found = scored(NetTable("t", (row, row)))
    assert (found.value, found.recognised) == (name, True)
    assert not scored(NetTable("t", (row, row)), name).recognised


def test_conditions_keep_numbers_in_a_range_and_texts_that_are_equal() -> None:
    found = table(*({"flops": f, "arm": a, "error": 1} for f, a in ((3.6e8, "A"), (4e8, "B"), (5e8, "A"))))
    for written, count in (
        ("flops=360e6-400e6", 2),
        ("flops=3.6e8..4e8", 2),
        ("arm=A", 2),
        ("arm=A|B", 3),
        ("flops=5e8", 1),
    ):
        assert len(found.where((Filter.parse(written),))) == count, written
    with pytest.raises(DataError, match=r"its flops goes from 3\.6e\+08 to 5e\+08"):
        found.where((Filter.parse("flops=1-2"),))
    with pytest.raises(DataError, match="it has A, B"):
        found.where((Filter.parse("arm=C"),))
    for wrong in ("flops", "flops=", "=3"):
        with pytest.raises(UsageError, match="column=value"):
            Filter.parse(wrong)


def test_parts_are_in_order_of_their_numbers_and_named_by_what_differs() -> None:
    found = table(*({"g": g, "error": 1} for g in (16, 2, 16, 8)))
    assert [(t.name, len(t)) for t in found.split("g")] == [("g=2", 1), ("g=8", 1), ("g=16", 2)]
    assert told_apart(["cpu, litert fp32, burst", "cpu, litert int8, burst"]) == ["fp32", "int8"]


def test_a_population_s_folder_reads_with_its_failures_named(tmp_path: Path) -> None:
    config = AnyNetConfig((Stage(1, 8, 8), Stage(2, 16, 8)), num_classes=10)
    subjects = [records.TrainingSubject("A", i, config, 32, 2) for i in range(3)]
    made = [
        records.Record(s, 10 + s.index, 20, 30, 12.5, {2: 12.5}, (50.0, 30.0), 100, 1.0) for s in subjects[:2]
    ]
    records.append(tmp_path / "records.jsonl", [*made, records.Record.failed(subjects[2], "out of memory")])
    found = scored(read_table(tmp_path))
    assert found.values.tolist() == [12.5, 12.5]
    assert found.column("flops").tolist() == [10, 11]
    assert found.column("errors.2").tolist() == [12.5, 12.5]
    assert found.column("width_2").tolist() == [16, 16]
    assert {r.label("arm") for r in found.table.records} == {"A"}
    assert found.left_out == ("A 2 has no error (out of memory)",)
    assert len(read_table(tmp_path / "records.jsonl")) == 3


def test_the_stages_of_every_published_net_are_found_with_their_groups() -> None:
    for entry in zoo.entries():
        shape = of_config(entry.config)
        assert shape.rises
        assert shape.shared_group == (entry.rule.group_width if entry.rule else shape.group_widths[-1])
        assert len(shape.block_widths) == entry.config.depth


def test_a_rule_in_a_record_gives_the_network_s_stages() -> None:
    row = net_row({"depth": 16, "w0": 48, "wa": 27.89, "wm": 2.09, "group_width": 8, "error": 26})
    assert row.shape is not None
    assert row.shape.widths == (48, 104, 208, 440)


def test_values_at_equal_flops_are_over_one_line_through_all_sets() -> None:
    x = np.array([1.0, 2.0, 4.0, 8.0])
    sets = []
    for name, factor in (("a", 1.0), ("b", 1.5)):
        rows = tuple(
            NetRow(f"{i}", {"flops": f, "ms": factor * 3 * f**0.7}) for i, f in enumerate(x.tolist())
        )
        sets.append(Scored(name, "ms", np.array([r.numbers["ms"] for r in rows]), NetTable(name, rows)))
    a, b = matched(sets, "flops")
    np.testing.assert_allclose(b.values / a.values, 1.5)
    np.testing.assert_allclose(a.values, 1 / math.sqrt(1.5))
    with pytest.raises(DataError, match="at least 3"):
        matched([sets[0].taken(np.array([0, 1]))], "flops")


NAMES = st.sampled_from(
    ["stages", "depths", "ds", "widths", "depth", "w0", "wa", "wm", "width", "error", "net"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, JSON))
def test_whatever_a_record_holds_it_is_read_or_refused_in_a_sentence(fields: dict[str, object]) -> None:
    try:
        row = net_row(fields)
    except RegNetEdgeError:
        return  # any other exception is a failure
    assert all(isinstance(v, float) for v in row.numbers.values())


def test_shapes_that_cannot_be_are_refused() -> None:
    for shape in (
        {"depths": ()},
        {"depths": (1,), "widths": (8, 8)},
        {"depths": (0,)},
        {"depths": (1,), "widths": (0,)},
    ):
        with pytest.raises(DataError):
            Shape(**shape)
