"""The report is one page that needs nothing else, and tells what changed beyond the intervals."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from regnet_edge.benchmarks.doubles.simulated import SimulatedDevice
from regnet_edge.benchmarks.law.points import Condition
from regnet_edge.benchmarks.record.measurement import Measurement
from regnet_edge.benchmarks.record.results import write_line
from regnet_edge.benchmarks.record.timing import Timing
from regnet_edge.benchmarks.report.choice import first_view
from regnet_edge.benchmarks.report.compare import compare
from regnet_edge.benchmarks.report.page import device_facts, page, render
from regnet_edge.benchmarks.report.rows import (
    SERIES_BINS,
    SERIES_SIZE,
    facts,
    rows,
    series_path,
    series_range,
)
from regnet_edge.cli import cli
from regnet_edge.complexity import complexity
from regnet_edge.design_space.sampling import Regime, sample_anynets
from regnet_edge.design_space.spaces import ANYNET_X_A
from regnet_edge.errors import UsageError

CONFIGS = sample_anynets(ANYNET_X_A, 14, np.random.default_rng(5), Regime(50e6, 1.5e9))
VOID = {"meta", "link", "br", "img", "input", "hr"}


def measured(factor: float = 1.0, disturbed: str = "") -> list[Measurement]:
    device = SimulatedDevice(np.random.default_rng(3), network_noise=0.0, disturbed=frozenset({disturbed}))
    return [device.record(f"net-{i}", c, factor=factor if i < 2 else 1.0) for i, c in enumerate(CONFIGS)]


class Balance(HTMLParser):
    """Collects tags that are opened and never closed, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("href", "src", "xlink:href", "action")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [v or "" for k, v in attrs if k in ("href", "src", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass


@pytest.fixture(scope="module")
def html() -> str:
    found = page(
        measured(disturbed="net-4-fp32.tflite"),
        np.random.default_rng(0),
        title="A <report>",
        source="results.jsonl",
        held_out={(CONFIGS[13], 224)},
        old=measured(1.3),
    )
    return render(found)


def test_the_page_is_whole_and_needs_no_network(html: str) -> None:
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    assert all(a.startswith("#") for a in parser.addresses)
    assert "url(http" not in html
    assert html.count("<script>") == html.count("<script") == 1  # the page's own, which sorts its first table
    assert "A &lt;report&gt;" in html


def test_the_page_shows_every_network_its_law_its_series_and_its_verdict(html: str) -> None:
    assert all(f"net-{i}" in html for i in range(len(CONFIGS)))
    assert html.count('<svg class="series"') == len(CONFIGS)
    assert html.count("<figure") == 4
    assert "Forms of the law" in html
    assert "1 set aside before anything was measured" in html
    assert 'class="invalid">invalid' in html
    assert "these times come from a formula" in html


def test_the_first_view_names_the_fastest_file_and_each_devices_front() -> None:
    device = SimulatedDevice(np.random.default_rng(0), network_noise=0.0)
    small, large = sorted(CONFIGS, key=lambda c: complexity(c, 224).flops)[:: len(CONFIGS) - 1]
    quick = device.record("quick", small)
    lines = [
        quick,
        device.record("slow", small, factor=9e3),  # more time than any, for no more flops
        device.record("large", large),
        invalid(device.record("wrong", large, factor=1e-3)),
    ]
    lines.append(replace(lines[1], device=replace(quick.device, label="another")))
    view = first_view(rows(lines, np.random.default_rng(0)))
    front = {(c.row.name, c.condition.device == quick.device.label): c.front for c in view.choices}
    assert front == {
        ("quick", True): True, ("slow", True): False, ("large", True): True, ("wrong", True): False,
        ("slow", False): True,
    }  # fmt: skip
    assert [c.row.name for c in view.choices][:2] == ["wrong", "quick"]
    assert len(view.answers) == view.devices == 2
    [answer] = [a for a in view.answers if a.startswith(quick.device.label)]
    assert f"the fastest file is quick-fp32.tflite on {quick.runtime.name}" in answer
    assert answer.endswith("2 of 4 are on the front")


def test_files_of_equal_or_unknown_flops_stand_each_on_a_line_of_its_own() -> None:
    device = SimulatedDevice(np.random.default_rng(0), network_noise=0.0)
    lines = [device.record("net", CONFIGS[0], file=f) for f in ("a.tflite", "b.tflite")]
    names = ">a.tflite<", ">b.tflite<"
    alike = first_view(rows(lines, np.random.default_rng(0))).picture
    assert all(name in alike for name in names)
    unlike = [*lines, device.record("other", CONFIGS[1])]
    assert not any(name in first_view(rows(unlike, np.random.default_rng(0))).picture for name in names)
    unknown = [replace(m, model=replace(m.model, flops=None)) for m in lines]
    assert ">a.tflite<" in first_view(rows(unknown, np.random.default_rng(0))).picture


def test_a_device_without_a_valid_measurement_names_no_file() -> None:
    lines = [invalid(m) for m in measured()[:2]]
    [answer] = first_view(rows(lines, np.random.default_rng(0))).answers
    assert "no measurement is valid" in answer


def invalid(m: Measurement) -> Measurement:
    return replace(m, validity=replace(m.validity, verdict="invalid"))


def test_a_few_networks_make_a_page_without_a_law() -> None:
    found = page(measured()[:3], np.random.default_rng(0), title="t", source="s")
    assert found.sections[0].law is None
    assert found.differences is None
    assert "Forms of the law" not in render(found)


def test_rows_are_fastest_first_and_take_the_median_over_valid_rounds() -> None:
    device = SimulatedDevice(np.random.default_rng(0), network_noise=0.0)
    lines = [device.record("a", CONFIGS[0], factor=f) for f in (1.0, 1.1, 1.2)]
    lines[2] = replace(lines[2], validity=replace(lines[2].validity, verdict="invalid"))
    lines.append(device.record("fast", CONFIGS[0], factor=0.5))
    [found] = rows(lines, np.random.default_rng(0)).values()
    assert [r.name for r in found] == ["fast", "a"]
    assert found[1].median_ms == pytest.approx(1.05 * device.latency_ms(CONFIGS[0], 224), rel=0.02)
    assert found[1].low_ms < found[1].median_ms < found[1].high_ms
    assert [r.verdict for r in found[1].rounds] == ["warnings", "warnings", "invalid"]
    assert found[1].verdict == "warnings"


def test_faster_and_slower_are_beyond_both_intervals() -> None:
    rng = np.random.default_rng(0)
    now, then = rows(measured(0.8), rng), rows(measured(1.0), rng)
    changes = {d.file: d.change for d in compare(now, then)}
    assert changes == {f"net-{i}-fp32.tflite": "faster" if i < 2 else "same" for i in range(len(CONFIGS))}
    back = {d.file: d.change for d in compare(then, now)}
    assert back["net-0-fp32.tflite"] == "slower"
    gone = compare({}, then)
    assert {d.change for d in gone} == {"gone"}
    assert {d.change for d in compare(then, {})} == {"new"}
    assert all(d.ratio is None for d in gone)


def test_the_largest_change_comes_first() -> None:
    rng = np.random.default_rng(0)
    found = compare(rows(measured(0.5), rng), rows(measured(), rng))
    assert {found[0].file, found[1].file} == {"net-0-fp32.tflite", "net-1-fp32.tflite"}


def test_two_files_of_one_network_are_compared_each_with_itself() -> None:
    rng = np.random.default_rng(0)
    device = SimulatedDevice(np.random.default_rng(3), network_noise=0.0)
    then = [device.record("net", CONFIGS[0], file=f) for f in ("plain.tflite", "mixed.tflite")]
    now = [device.record("net", CONFIGS[0], file="plain.tflite", factor=1.5), then[1]]
    changes = {d.file: d.change for d in compare(rows(now, rng), rows(then, rng))}
    assert changes == {"plain.tflite": "slower", "mixed.tflite": "same"}


def test_a_series_stays_within_its_picture_and_keeps_its_spikes() -> None:
    samples = np.full(5000, 1_000_000)
    samples[2500] = 1_040_000
    timing = Timing((1,), (1,), (), tuple(int(s) for s in samples))
    pairs = [tuple(map(float, p.split(","))) for p in re.findall(r"[\d.]+,[\d.]+", series_path(timing))]
    assert len(pairs) == 2 * SERIES_BINS
    assert all(0 <= x <= SERIES_SIZE[0] and 0 <= y <= SERIES_SIZE[1] for x, y in pairs)
    assert min(y for _, y in pairs) < SERIES_SIZE[1] * 0.3
    single = Timing((1,), (1,), (), (1_000_000,))
    assert series_path(single).startswith("M0.0,")
    bottom, top = series_range(single)
    assert bottom < 1.0 < top


def test_facts_are_texts_without_a_hole() -> None:
    [m, *_] = measured()
    assert all(label and text for label, text in (*facts(m), *device_facts(m)))
    assert str(Condition.of(m)) == "simulated device, formula fp32, 1 thread on 0, burst"


def test_the_command_writes_the_page_and_says_what_changed(tmp_path: Path) -> None:
    from regnet_edge.cli.report import command

    rng = np.random.default_rng(0)
    for name, factor in (("new.jsonl", 0.7), ("old.jsonl", 1.0)):
        with (tmp_path / name).open("w", encoding="utf-8") as stream:
            for m in measured(factor):
                write_line(stream, m, rng)
    arguments = [
        str(tmp_path / "new.jsonl"),
        "-o",
        str(tmp_path / "r.html"),
        "--compare",
        str(tmp_path / "old.jsonl"),
    ]
    told = CliRunner().invoke(command, arguments)
    assert told.exit_code == 0, told.output
    assert "14 of 14 measurements valid" in told.output
    assert "faster: net-" in told.output
    assert "What changed" in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("factor", "percent", "code"), [(1.2, "5", 1), (1.2, "30", 0), (1.0, "0", 0), (0.7, "5", 0)]
)
def test_a_median_that_got_slower_by_more_than_allowed_ends_with_exit_code_1(
    factor: float, percent: str, code: int, tmp_path: Path
) -> None:
    done = _compared(tmp_path, measured(factor), percent)
    assert done.exit_code == code, done.output
    slower = [line for line in done.stderr.splitlines() if line.startswith("too slow: net-")]
    assert len(slower) == 2 * code
    assert (tmp_path / "r.html").exists()


def test_what_an_invalid_latency_says_is_told_with_a_doubt(tmp_path: Path) -> None:
    done = _compared(tmp_path, measured(1.2, "net-0-fp32.tflite"), "5")
    assert done.exit_code == 1
    assert done.stderr.count("; one of the two is invalid, so measure again when it is calm") == 1
    assert "slower, one is invalid" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_results_of_another_device_are_not_taken_for_a_pass(tmp_path: Path) -> None:
    other = [replace(m, device=replace(m.device, label="another")) for m in measured()]
    done = _compared(tmp_path, other, "5")
    assert isinstance(done.exception, UsageError)
    assert "compare results of one machine" in str(done.exception)
    alone = CliRunner().invoke(cli, ["report", str(tmp_path / "new.jsonl"), "--fail-slower", "5"])
    assert "name them with --compare" in str(alone.exception)


def _compared(folder: Path, new: list[Measurement], percent: str) -> Result:
    for name, found in (("new.jsonl", new), ("old.jsonl", measured())):
        with (folder / name).open("w", encoding="utf-8") as stream:
            for m in found[:2]:  # too few for a law, which takes its time
                write_line(stream, m, np.random.default_rng(0))
    files = [str(folder / name) for name in ("new.jsonl", "old.jsonl", "r.html")]
    words = ["report", files[0], "--compare", files[1], "-o", files[2], "--fail-slower", percent]
    return CliRunner().invoke(cli, words)


@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_draws_in_a_browser_without_scrolling_sideways(
    chromium: str, html: str, width: int, tmp_path: Path
) -> None:
    frame = (
        f'<iframe id="f" style="border:0;width:{width}px;height:4000px" srcdoc="{_escaped(html)}"></iframe>'
    )
    outer = tmp_path / "outer.html"
    measure = (
        "<script>onload = () => { const d = document.getElementById('f').contentDocument;"
        "document.title = d.documentElement.scrollWidth + ' ' + d.querySelectorAll('svg').length }</script>"
    )
    outer.write_text(f"<title>?</title><body style='margin:0'>{frame}{measure}", encoding="utf-8")
    dumped = subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000",
            "--dump-dom", f"--user-data-dir={tmp_path / 'profile'}", outer.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    title = re.search(r"<title>(\d+) (\d+)</title>", dumped)
    assert title is not None, dumped[:500]
    assert int(title[1]) <= width
    assert int(title[2]) == len(CONFIGS) + 4


def _escaped(html: str) -> str:
    return html.replace("&", "&amp;").replace('"', "&quot;")


def test_a_page_replaces_neither_what_it_reads_nor_what_is_no_page(tmp_path: Path) -> None:
    runner = CliRunner()
    results = tmp_path / "results.jsonl"
    results.write_text('{"version": 1}\n')
    (tmp_path / "notes.txt").write_text("mine")
    notes = tmp_path / "notes.txt"
    for output, reason in ((results, "is what this command reads"), (notes, "exists and is nothing")):
        before = output.read_text()
        done = runner.invoke(cli, ["report", str(results), "-o", str(output)])
        assert isinstance(done.exception, UsageError)
        assert reason in str(done.exception)
        assert output.read_text() == before
