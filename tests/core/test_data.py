"""What readers refuse, and that preprocessing is exactly what a Preprocessing says."""

from __future__ import annotations

import gzip
import struct
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from regnet_edge import arrays, data
from regnet_edge.data import FASHION_MNIST, Images
from regnet_edge.errors import DataError
from regnet_edge.request import IMAGENET, Color, CropMode, Interpolation, Preprocessing

RNG = np.random.default_rng(0)


def gray(n: int = 12, side: int = 8, classes: int = 3) -> Images:
    labels = (np.arange(n) % classes).astype(np.int64)
    return Images(RNG.integers(0, 256, (n, side, side), np.uint8), labels, tuple("abcdefghij"[:classes]))


def write_idx(folder: Path, images: np.ndarray, labels: np.ndarray, *, packed: bool) -> None:
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
        file = folder / f"train-{name}-ubyte"
        if packed:
            file.with_name(file.name + ".gz").write_bytes(gzip.compress(content))
        else:
            file.write_bytes(content)


class TestFiles:
    @pytest.mark.parametrize("packed", [True, False])
    def test_idx_files_are_read_plain_or_packed(self, tmp_path: Path, packed: bool) -> None:
        images = gray()
        assert images.labels is not None
        write_idx(tmp_path, np.asarray(images.pixels), images.labels.astype(np.uint8), packed=packed)
        found = arrays.read_idx(tmp_path, "train", images.class_names)
        assert np.array_equal(found.pixels, images.pixels)
        assert np.array_equal(np.asarray(found.labels), np.asarray(images.labels))

    def test_missing_cut_and_foreign_idx_files_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="install the Debian package dataset-fashion-mnist"):
            arrays.fashion_mnist("test", tmp_path / "nowhere")
        with pytest.raises(DataError, match=r"no train-images-idx3-ubyte or .*\.gz in"):
            arrays.read_idx(tmp_path, "train")
        write_idx(tmp_path, np.zeros((4, 3, 3), np.uint8), np.zeros(5, np.uint8), packed=False)
        with pytest.raises(DataError, match="4 images but 5 labels"):
            arrays.read_idx(tmp_path, "train")
        file = tmp_path / "train-images-idx3-ubyte"
        for content in (file.read_bytes()[:-1], b"", b"GIF89a", file.read_bytes() + b"x"):
            file.write_bytes(content)
            with pytest.raises(DataError, match="is not an IDX file of bytes in 3 dimensions"):
                arrays.read_idx(tmp_path, "train")
        file.unlink()
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(bytes(100))[:-9])
        with pytest.raises(DataError, match=r"cannot read .*fetch it again"):
            arrays.read_idx(tmp_path, "train")

    def test_an_npz_comes_back_as_it_was_and_has_the_same_bytes(self, tmp_path: Path) -> None:
        images = gray()
        arrays.write_npz(images, tmp_path / "a.npz")
        arrays.write_npz(images, tmp_path / "b.npz")
        found = arrays.read_npz(tmp_path / "a.npz")
        assert np.array_equal(found.pixels, images.pixels)
        assert np.array_equal(np.asarray(found.labels), np.asarray(images.labels))
        assert found.class_names == images.class_names
        assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()

    def test_a_missing_cut_hostile_or_foreign_npz_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "a.npz"
        with pytest.raises(DataError, match="no file"):
            arrays.read_npz(file)
        arrays.write_npz(gray(), file)
        file.write_bytes(file.read_bytes()[:-40])
        with pytest.raises(DataError, match=r"is not an \.npz"):
            arrays.read_npz(file)
        np.savez(file, images=np.array([{"run": "me"}]), allow_pickle=True)
        with pytest.raises(DataError, match=r"is not an \.npz"):
            arrays.read_npz(file)
        np.savez(file, pictures=np.zeros(3))
        with pytest.raises(DataError, match=r"is not an \.npz"):
            arrays.read_npz(file)
        with pytest.raises(DataError, match="images of one size"):
            arrays.write_npz(Images((np.zeros((2, 2), np.uint8), np.zeros((3, 2), np.uint8))), file)


class TestImages:
    @pytest.mark.parametrize(
        ("pixels", "labels", "names", "sentence"),
        [
            (np.zeros((0, 2, 2), np.uint8), None, (), "no images"),
            (np.zeros((1, 2, 2), np.float32), None, (), "uint8"),
            (np.zeros((1, 2, 2, 4), np.uint8), None, (), "shape"),
            (np.zeros((1, 0, 2), np.uint8), None, (), "shape"),
            (np.zeros((1, 2, 2), np.uint8), np.zeros(2, np.int64), (), r"labels are int64 of shape \(1,\)"),
            (np.zeros((1, 2, 2), np.uint8), np.zeros(1, np.int32), (), "labels are int64"),
            (np.zeros((1, 2, 2), np.uint8), np.ones(1, np.int64), ("a",), "one name a class"),
            (np.zeros((1, 2, 2), np.uint8), -np.ones(1, np.int64), ("a",), "one name a class"),
        ],
    )
    def test_what_is_no_set_of_images_is_refused(self, pixels, labels, names, sentence) -> None:  # type: ignore[no-untyped-def]  # a table
        with pytest.raises(DataError, match=sentence):
            Images(pixels, labels, names)

    @given(n=st.integers(1, 40), classes=st.integers(1, 5), seed=st.integers(0, 99))
    def test_a_sample_has_no_repetition_and_even_classes(self, n: int, classes: int, seed: int) -> None:
        images = gray(40, 2, classes)
        index = data.draw(images, n, seed)
        assert len(set(index.tolist())) == n
        assert images.labels is not None
        counts = np.bincount(images.labels[index], minlength=classes)
        assert counts.max() - counts.min() <= 1
        again = data.sample(images, n, seed)
        assert np.array_equal(again.pixels, images.take(index).pixels)

    def test_a_class_that_runs_out_is_made_up_for_by_the_others(self) -> None:
        images = Images(np.zeros((5, 2, 2), np.uint8), np.array([0, 1, 1, 1, 1]))
        assert len(data.sample(images, 4, 0)) == 4

    def test_too_many_images_or_none_are_refused(self) -> None:
        for n in (0, 13):
            with pytest.raises(DataError, match="ask for 1 to 12"):
                data.sample(gray(), n, 0)
        with pytest.raises(DataError, match="leaves nothing on one side"):
            data.split(gray(), 0.01, 0)

    def test_a_split_keeps_every_image_once(self) -> None:
        images = Images(np.arange(20, dtype=np.uint8).reshape(20, 1, 1), np.arange(20) % 2)
        rest, held = data.split(images, 0.2, 3)
        assert len(held) == 4
        assert sorted([*np.ravel(rest.pixels), *np.ravel(held.pixels)]) == list(range(20))


class TestPreprocessing:
    @given(hnp.arrays(np.uint8, (3, 28, 28)))
    @settings(max_examples=20)
    def test_the_native_size_is_only_scaled_bit_for_bit(self, pixels: np.ndarray) -> None:
        mean, std = np.float32(0.2860), np.float32(0.3530)
        expected = (pixels.astype(np.float32)[:, None] / np.float32(255) - mean) / std
        found = data.preprocess(Images(pixels), FASHION_MNIST)
        assert found.dtype == np.float32
        assert np.array_equal(found, expected)

    @given(
        h=st.integers(1, 40),
        w=st.integers(1, 40),
        side=st.integers(1, 24),
        more=st.integers(0, 20),
        rgb=st.booleans(),
        color=st.sampled_from(["RGB", "BGR", "GRAY"]),
        interpolation=st.sampled_from(get_args(Interpolation)),
        mode=st.sampled_from(get_args(CropMode)),
    )
    @settings(max_examples=50)
    def test_every_image_gets_the_shape_that_was_asked_for(
        self,
        h: int,
        w: int,
        side: int,
        more: int,
        rgb: bool,
        color: Color,
        interpolation: Interpolation,
        mode: CropMode,
    ) -> None:
        n = 1 if color == "GRAY" else 3
        how = Preprocessing(color, (0.2,) * n, (0.25,) * n, side, interpolation, side + more, mode)
        pixels = np.full((2, h, w, 3) if rgb else (2, h, w), 51, np.uint8)
        found = data.preprocess(Images(pixels), how)
        assert found.shape == (2, n, side, side)
        assert found == pytest.approx(0, abs=1e-6)  # a flat image stays flat, and the border is the mean's

    @pytest.mark.parametrize(("h", "w"), [(50, 40), (31, 77), (224, 224), (300, 299)])
    def test_resizing_and_cropping_are_torchvisions(self, h: int, w: int) -> None:
        transforms = pytest.importorskip("torchvision.transforms")
        pixels = RNG.integers(0, 256, (h, w, 3), np.uint8)
        reference = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
        expected = np.asarray(reference(Image.fromarray(pixels)))
        assert np.array_equal(data.fit(Images(pixels[None]), IMAGENET)[0], expected)

    @pytest.mark.parametrize("mode", get_args(CropMode))
    @pytest.mark.parametrize(("h", "w"), [(50, 41), (31, 77), (32, 32), (61, 60)])
    def test_center_squash_and_border_are_timms(self, h: int, w: int, mode: CropMode) -> None:
        factory = pytest.importorskip("timm.data.transforms_factory")
        compose = pytest.importorskip("torchvision.transforms").Compose
        pixels = RNG.integers(0, 256, (h, w, 3), np.uint8)
        for side, fraction in [(32, 1.0), (31, 0.9)]:
            reference = factory.transforms_imagenet_eval(side, fraction, mode, interpolation="bicubic")
            expected = np.asarray(compose(reference.transforms[:2])(Image.fromarray(pixels)))
            how = replace(IMAGENET, resolution=side, interpolation="bicubic", crop_mode=mode)
            how = replace(how, resize_px=int(side / fraction))
            assert np.array_equal(data.fit(Images(pixels[None]), how)[0], expected)

    @pytest.mark.parametrize(("h", "w"), [(50, 41), (31, 77), (61, 60)])
    def test_half_a_pixel_of_the_crop_is_dropped_as_transformers_does(self, h: int, w: int) -> None:
        transforms = pytest.importorskip("transformers.image_transforms")
        pixels = RNG.integers(0, 256, (h, w, 3), np.uint8)
        how = replace(IMAGENET, resolution=28, resize_px=min(h, w), crop_rounding="floor")
        expected = transforms.center_crop(pixels, (28, 28), input_data_format="channels_last")
        assert np.array_equal(data.fit(Images(pixels[None]), how)[0], expected)

    def test_colors_are_converted_as_pil_does(self) -> None:
        rgb = RNG.integers(0, 256, (2, 5, 5, 3), np.uint8)
        luma = np.stack([np.asarray(Image.fromarray(p).convert("L")) for p in rgb])
        assert np.array_equal(data.recolor(rgb, "GRAY")[..., 0], luma)
        assert np.array_equal(data.recolor(rgb, "BGR"), rgb[..., ::-1])
        assert np.array_equal(data.recolor(luma, "RGB"), np.stack([luma] * 3, axis=-1))

    def test_mixed_sizes_are_each_fitted(self) -> None:
        images = Images((np.zeros((5, 9), np.uint8), np.zeros((30, 28), np.uint8)))
        assert data.fit(images, FASHION_MNIST).shape == (2, 28, 28, 1)
