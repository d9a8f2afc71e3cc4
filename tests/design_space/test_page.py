"""The page of a study: whole, needing no network, and readable on a phone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from regnet_edge.design_space.page import StudyPage, render, study_page
from regnet_edge.design_space.tables import NetRow, NetTable, Scored, Shape
from regnet_edge.errors import DataError


def arm(name: str, better: float, count: int = 16) -> Scored:
    r = np.random.default_rng(0)
    rows, values = [], []
    for i in range(count):
        shape = Shape(
            tuple(r.integers(1, 5, 2).tolist()),
            tuple(sorted((8 * r.integers(1, 20, 2)).tolist())),
            (8, 8),
            (1.0, 1.0),
        )
        flops = float(r.uniform(1e6, 4e6))
        numbers = {
            **shape.numbers(),
            "flops": flops,
            "params": flops / 9,
            "activations": flops**0.5,
            "index": float(i),
        }
        rows.append(NetRow(f"{name} {i}", numbers, {}, shape))
        values.append(20 - better + float(r.normal(0, 0.5)))
    return Scored(
        name, "error", np.array(values), NetTable(name, tuple(rows)), left_out=("line 7: not JSON",)
    )


@pytest.fixture(scope="module")
def page() -> StudyPage:
    sets = [arm("C <all>", 0), arm("D", 1.5), arm("tiny", 0, 2)]
    return study_page(sets, title="Widths & depths", source="study")


def test_a_page_tells_sets_contrasts_fits_trends_and_what_was_left_out(page: StudyPage) -> None:
    assert [s.name for s in page.summaries] == ["C <all>", "D"]
    [contrast] = page.contrasts
    assert contrast.paired
    assert contrast.sentence.startswith("D is better than C <all>")
    assert [f.networks for f in page.fits] == [16, 16]
    assert page.left_out == ("tiny has 2 networks, too few for a section", "line 7: not JSON")
    assert [float(n[-1]) for n in page.sections[0].networks] == sorted(
        float(n[-1]) for n in page.sections[0].networks
    )
    html = render(page)
    assert "C &lt;all&gt;" in html
    assert "<all>" not in html
    assert "Widths &amp; depths" in html


def test_a_page_needs_no_network_and_is_the_same_each_time(page: StudyPage) -> None:
    html = render(page)
    outside = re.findall(r'(?:src|href)="(?!#)([^"]+)"', html)
    assert not [x for x in outside if x.startswith(("http", "//")) and "w3.org" not in x]
    assert html == render(
        study_page(
            [arm("C <all>", 0), arm("D", 1.5), arm("tiny", 0, 2)], title="Widths & depths", source="study"
        )
    )


def test_sets_without_stages_or_flops_still_make_a_page() -> None:
    rows = tuple(NetRow(f"n{i}", {"error": float(i)}) for i in range(6))
    bare = Scored("bare", "error", np.arange(6.0), NetTable("bare", rows))
    found = study_page([bare], title="t", source="s")
    assert (found.fits, found.contrasts, found.sections[0].line) == ((), (), None)
    assert "bare" in render(found)
    with pytest.raises(DataError, match="a page takes a set of at least 4"):
        study_page([bare.best(2)], title="t", source="s")


def test_the_page_draws_in_a_browser_without_scrolling_sideways(
    chromium: str, page: StudyPage, tmp_path: Path
) -> None:
    escaped = render(page).replace("&", "&amp;").replace('"', "&quot;")
    frames = "".join(
        f'<iframe style="border:0;width:{w}px;height:4000px" srcdoc="{escaped}"></iframe>'
        for w in (1200, 390)
    )
    measure = (
        "<script>onload = () => { const seen = [...document.querySelectorAll('iframe')].map(f => "
        "[f.contentDocument.documentElement.scrollWidth, f.contentDocument.querySelectorAll('svg').length]);"
        "document.title = seen }</script>"
    )
    outer = tmp_path / "outer.html"
    outer.write_text(f"<title>?</title><body style='margin:0'>{frames}{measure}", encoding="utf-8")
    dumped = subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000",
            "--dump-dom", f"--user-data-dir={tmp_path / 'profile'}", outer.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    title = re.search(r"<title>(\d+),(\d+),(\d+),(\d+)</title>", dumped)
    assert title is not None, dumped[:500]
    assert int(title[1]) <= 1200
    assert int(title[3]) <= 390
    assert int(title[2]) == int(title[4]) == 3 + 2 * 2
