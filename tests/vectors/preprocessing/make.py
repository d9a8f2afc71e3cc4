"""Makes the vectors beside it: pictures, and what the project's own preprocessing makes of them.

`python tests/vectors/preprocessing/make.py`. README.md says what each file holds.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from regnet_edge import codec, data, pictures
from regnet_edge.request import Preprocessing

HERE = Path(__file__).parent
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
EXIF_ORIENTATION = 274


def how(
    color: str,
    side: int,
    interpolation: str = "bilinear",
    px: int = 0,
    mode: str = "center",
    to: str = "even",
) -> Preprocessing:
    """A preprocessing with the usual mean and std of its color; px is resize_px, `to` the crop's rounding."""
    mean, std = ((0.286,), (0.353,)) if color == "GRAY" else IMAGENET
    return Preprocessing(color, mean, std, side, interpolation, px, mode, to)  # type: ignore[arg-type]  # literals, checked there


def noise(seed: int, *shape: int) -> data.Pixels:
    """Smooth waves with noise on them: flat areas, edges and full range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    wave = 128 + 90 * np.sin(x / 5.0 + seed) + 60 * np.cos(y / 3.0)
    grain = rng.integers(-60, 60, shape)
    base = wave if len(shape) == 2 else np.stack([np.roll(wave, 3 * c, 1) for c in range(3)], -1)
    return np.clip(base + grain, 0, 255).astype(np.uint8)


def blocks() -> data.Pixels:
    """Blocks of 16 pixels of one colour each: JPEG keeps those, whoever decodes it."""
    colors = np.array(
        [[(200, 30, 30), (30, 160, 40), (30, 40, 190)], [(220, 210, 40), (128, 128, 128), (20, 20, 20)]]
    )
    return np.repeat(np.repeat(colors, 16, 0), 16, 1).astype(np.uint8)


def png(name: str, pixels: data.Pixels, palette: bool = False) -> str:
    """Write a picture, return its name."""
    image = Image.fromarray(pixels)
    (image.quantize(64) if palette else image).save(HERE / f"{name}.png", optimize=True)
    return f"{name}.png"


def jpeg(name: str, pixels: data.Pixels, orientation: int) -> str:
    """Write a JPEG whose EXIF asks for a rotation."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "JPEG", quality=100, subsampling=0, exif=exif)
    (HERE / f"{name}.jpg").write_bytes(held.getvalue())
    return f"{name}.jpg"


def cases() -> list[tuple[str, str, Preprocessing]]:
    """(name, picture, preprocessing) of every vector."""
    wide = png("rgb-61x43", noise(1, 43, 61, 3))
    tall = png("rgb-37x90", noise(2, 90, 37, 3))
    small = png("rgb-9x7", noise(3, 7, 9, 3))
    gray = png("gray-50x33", noise(4, 33, 50))
    exact = png("gray-28x28", noise(5, 28, 28))
    large = png("rgb-157x120", noise(6, 120, 157, 3))
    palette = png("palette-40x30", noise(7, 30, 40, 3), palette=True)
    line = png("rgb-1x40", noise(8, 40, 1, 3))
    found = [
        ("bilinear-down", wide, how("RGB", 24)),
        ("bicubic-down", wide, how("RGB", 24, "bicubic")),
        ("nearest-down", wide, how("RGB", 24, "nearest")),
        ("bilinear-up", small, how("RGB", 20)),
        ("bicubic-up", small, how("RGB", 20, "bicubic")),
        ("nearest-up", small, how("RGB", 20, "nearest")),
        ("bilinear-crop", tall, how("RGB", 21, px=24)),
        ("bicubic-crop", tall, how("RGB", 21, "bicubic", 24)),
        ("bicubic-crop-odd", large, how("RGB", 23, "bicubic", 24)),
        ("bilinear-crop-half", large, how("RGB", 16, px=32)),
        ("bgr", wide, how("BGR", 16)),
        ("rgb-to-gray", wide, how("GRAY", 28)),
        ("rgb-to-gray-bicubic", large, how("GRAY", 28, "bicubic", 31)),
        ("gray-to-gray", gray, how("GRAY", 28)),
        ("gray-exact", exact, how("GRAY", 28)),
        ("gray-to-rgb", gray, how("RGB", 24, px=27)),
        ("palette", palette, how("RGB", 24)),
        ("one-pixel-wide", line, how("RGB", 8)),
        ("same-short-side", wide, how("RGB", 43)),
        ("squash", wide, how("RGB", 24, "bicubic", mode="squash")),
        ("squash-crop", tall, how("RGB", 21, px=24, mode="squash")),
        ("border", tall, how("RGB", 24, "bicubic", mode="border")),
        ("border-crop", large, how("RGB", 21, px=25, mode="border")),
        ("crop-floor", large, how("RGB", 23, "bicubic", 24, to="floor")),
        ("lanczos", wide, how("RGB", 24, "lanczos", 27)),
    ]
    turned = [(f"exif-{o}", jpeg(f"exif-{o}", blocks(), o), how("RGB", 20)) for o in range(1, 9)]
    return found + turned


def main() -> None:
    """Write pictures, tensors and the index."""
    index = []
    for name, picture, asked in cases():
        pixels = pictures.read(HERE / picture)  # upright and gray or RGB, as every reader of the project
        fitted = data.fit(data.Images((pixels,)), asked)
        (HERE / f"{name}.u8").write_bytes(fitted.tobytes())
        (HERE / f"{name}.f32").write_bytes(data.normalize(fitted, asked).astype("<f4").tobytes())
        index.append({"name": name, "picture": picture, "preprocessing": codec.to_json(asked),
                      "pixels": f"{name}.u8", "tensor": f"{name}.f32"})  # fmt: skip
    (HERE / "index.json").write_text(json.dumps({"version": 1, "cases": index}, indent=1) + "\n")


if __name__ == "__main__":
    main()
