"""Pictures: the same bytes each time, in the format that the file's name says."""

from __future__ import annotations

from pathlib import Path

import pytest

from regnet_edge.drawing import Picture
from regnet_edge.errors import UsageError

LINE = Picture.of(lambda axes: axes.plot([1, 2, 3], label="three points") and None)


@pytest.mark.parametrize(("suffix", "begins"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_a_file_is_what_its_name_says_and_the_same_each_time(
    tmp_path: Path, suffix: str, begins: bytes
) -> None:
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    LINE.write(one)
    LINE.write(two)
    assert one.read_bytes().startswith(begins)
    assert one.read_bytes() == two.read_bytes()


def test_svg_stands_in_a_page_and_keeps_its_text() -> None:
    picture = Picture.of(lambda axes: axes.set_title("seen as text") and None)
    assert picture.svg().startswith("<svg")
    assert "seen as text" in picture.svg()


def test_a_name_that_is_no_picture_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for name in ("widths.txt", "widths"):
        with pytest.raises(UsageError, match=r"a picture ends in \.svg, \.png or \.pdf, not in"):
            LINE.write(tmp_path / name)
    assert not list(tmp_path.iterdir())
