"""What a folder holds is what is read: every picture, nothing else, and only what was drawn."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regnet_edge import data, pictures
from regnet_edge.errors import DataError
from regnet_edge.folders import read_folder
from regnet_edge.request import Preprocessing

RNG = np.random.default_rng(0)
HOW = Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 24, resize_px=32)


def write(path: Path, shape: tuple[int, ...] = (6, 5, 3)) -> np.ndarray:
    pixels = RNG.integers(0, 256, shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def names(folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in read_folder(folder).files]


def test_sub_folders_in_order_of_their_names_are_the_classes(tmp_path: Path) -> None:
    cat, dog = write(tmp_path / "cat/1.png"), write(tmp_path / "dog/deeper/1.png")
    found = read_folder(tmp_path)
    assert found.class_names == ("cat", "dog")
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1]
    assert np.array_equal(found.decoded().pixels, np.stack([cat, dog]))


def test_a_flat_folder_has_no_labels_and_sizes_may_differ(tmp_path: Path) -> None:
    write(tmp_path / "b.png", (6, 5, 3))
    write(tmp_path / "a.png", (3, 4))  # gray becomes RGB beside RGB
    found = read_folder(tmp_path)
    assert found.labels is None
    assert [p.shape for p in found.decoded().pixels] == [(3, 4, 3), (6, 5, 3)]


def test_gray_images_stay_gray_where_all_are(tmp_path: Path) -> None:
    pixels = write(tmp_path / "a.png", (3, 4))
    assert np.array_equal(read_folder(tmp_path).decoded().pixels[0], pixels)


def test_what_systems_leave_behind_is_left_out_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "cat/1.png")
    for name in ("__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found"):
        write(tmp_path / name / "cat/1.png")
    for name in ("cat/._1.png", "cat/Thumbs.db", "cat/.DS_Store", "cat/notes.txt", "desktop.ini"):
        (tmp_path / name).write_bytes(b"none of a picture")
    (tmp_path / "cat/gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "cat/up").symlink_to(tmp_path)
    found = read_folder(tmp_path)
    assert names(tmp_path) == ["cat/1.png"]
    assert found.class_names == ("cat",)
    assert len(found.left_out) == 11
    assert "cat/gone.png (a broken link)" in found.left_out
    assert "cat/up (a link to a folder above)" in found.left_out
    (sentence,) = found.remarks()
    assert sentence == (
        "left out as no pictures: $RECYCLE.BIN, System Volume Information, __MACOSX and 8 more"
    )


def test_pictures_beside_folders_with_pictures_are_refused_not_dropped(tmp_path: Path) -> None:
    for i in range(4):
        write(tmp_path / f"{i}.png")
    (tmp_path / "notes").mkdir()
    assert len(read_folder(tmp_path)) == 4
    write(tmp_path / "thumbs/1.png")
    with pytest.raises(DataError, match=r"has 4 pictures beside folders with pictures \(thumbs\); move what"):
        read_folder(tmp_path)
    for i in range(1, 4):
        (tmp_path / f"{i}.png").unlink()
    with pytest.raises(DataError, match="has 1 picture beside"):
        read_folder(tmp_path)


def test_a_missing_folder_an_empty_one_and_a_class_without_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder at .*nowhere; give one"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no images in .*; put some there"):
        read_folder(tmp_path)
    write(tmp_path / "cat/1.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(DataError, match=r"no images in .*dog"):
        read_folder(tmp_path)


@pytest.mark.parametrize("content", [b"no image", b"", None])
def test_a_file_that_is_no_picture_is_named_when_it_is_used(tmp_path: Path, content: bytes | None) -> None:
    write(tmp_path / "1.png")
    cut = (tmp_path / "1.png").read_bytes()[:60]
    (tmp_path / "2.png").write_bytes(cut if content is None else content)
    found = read_folder(tmp_path)
    assert found.take(np.array([0])).fitted(HOW).shape == (1, 24, 24, 3)
    with pytest.raises(DataError, match=r"cannot read the image .*2\.png .*; remove or replace it"):
        found.fitted(HOW)


def test_pictures_that_are_there_twice_are_named(tmp_path: Path) -> None:
    write(tmp_path / "cat/1.png")
    write(tmp_path / "cat/2.png")
    (tmp_path / "cat/3.png").write_bytes((tmp_path / "cat/1.png").read_bytes())
    assert read_folder(tmp_path).remarks() == ("the same picture is there twice: cat/1.png = cat/3.png",)
    write(tmp_path / "dog/1.png")
    (tmp_path / "dog/2.png").symlink_to(tmp_path / "cat/2.png")
    assert read_folder(tmp_path).remarks() == ("the same picture lies in two classes: cat/2.png = dog/2.png",)


def test_only_what_is_drawn_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(20):
        write(tmp_path / f"{'ab'[i % 2]}/{i}.png")
    seen: list[Path] = []
    read = pictures.read
    monkeypatch.setattr(pictures, "read", lambda file, at_least: seen.append(file) or read(file, at_least))
    drawn = data.sample(read_folder(tmp_path), 4, seed=3)
    assert seen == []
    assert data.preprocess(drawn, HOW).shape == (4, 3, 24, 24)
    assert seen == list(drawn.files)
    assert drawn.labels is not None
    assert sorted(drawn.labels.tolist()) == [0, 0, 1, 1]


def test_a_large_photograph_is_decoded_near_its_size_and_comes_within_two_of_255(tmp_path: Path) -> None:
    small = RNG.integers(0, 256, (30, 40, 3), np.uint8)
    photo = Image.fromarray(small).resize((1600, 1200), Image.Resampling.BICUBIC)
    photo.save(tmp_path / "a.jpg", quality=90)
    assert pictures.read(tmp_path / "a.jpg", 4 * HOW.resize_px).shape == (150, 200, 3)
    near = read_folder(tmp_path).fitted(HOW).astype(int)
    exact = read_folder(tmp_path, exact=True).fitted(HOW)
    assert np.abs(near - exact).max() <= 2
    assert np.array_equal(exact, data.fit(read_folder(tmp_path).decoded(), HOW))


MEASURE = """
import resource, sys
from pathlib import Path
from regnet_edge import data
from regnet_edge.folders import read_folder
from regnet_edge.request import Preprocessing
how = Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 224, resize_px=256)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
drawn = data.sample(read_folder(Path(sys.argv[1])), int(sys.argv[2]), 0)
drawn.fitted(how)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("drawn", [8, 40])
def test_a_folder_of_phone_photos_takes_the_memory_of_what_is_kept(tmp_path: Path, drawn: int) -> None:
    """However many: training keeps all of them, cropped, calibration and verifying those that are drawn."""
    photo = Image.fromarray(RNG.integers(0, 256, (30, 40, 3), np.uint8)).resize((4032, 3024))
    photo.save(tmp_path / "0.jpg", quality=80)
    for i in range(1, 120):
        os.link(tmp_path / "0.jpg", tmp_path / f"{i}.jpg")
    command = [sys.executable, "-c", MEASURE, str(tmp_path), str(drawn)]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    unit = 1 if sys.platform == "darwin" else 1024
    assert grown * unit < 200e6
    assert resource.RUSAGE_SELF == 0
