"""How far transformers' two kinds of image processors are apart: on Pillow's pictures, and on tensors.

Run: python peers/hf_processors.py
A file here computes as the first kind does; AutoImageProcessor takes the second where torchvision is
installed. Pictures are drawn: noise, where neighbouring pixels have nothing in common, and the same made
smooth as a photograph.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

SIDE = 224
SIZES = ((28, 28), (100, 75), (240, 320), (500, 333), (640, 480), (720, 1280))
RESAMPLE = {"nearest": 0, "bilinear": 2, "bicubic": 3, "lanczos": 1, "box": 4, "hamming": 5}


def drawn(smooth: int) -> Iterator[Image.Image]:
    """A picture of each size, its details `smooth` pixels large."""
    rng = np.random.default_rng(0)
    for w, h in SIZES:
        small = rng.integers(0, 256, (max(2, h // smooth), max(2, w // smooth), 3), np.uint8)
        yield Image.fromarray(small).resize((w, h), Image.Resampling.BICUBIC)


def steps(resample: int, smooth: int) -> np.ndarray:
    """Differences of the two kinds in steps of 1/255, one a value."""
    from transformers import ViTImageProcessor, ViTImageProcessorPil

    found = []
    for picture in drawn(smooth):
        made = [
            kind(resample=resample, size={"height": SIDE, "width": SIDE}, do_normalize=False)(
                picture, return_tensors="np"
            )["pixel_values"]
            for kind in (ViTImageProcessorPil, ViTImageProcessor)
        ]
        found.append(np.rint(255 * np.abs(made[0] - made[1])).ravel())
    return np.concatenate(found)


def main() -> None:
    """A line for each interpolation and kind of picture."""
    print(f"{'':10}{'pictures':10}{'most':>6}{'1 or more':>12}{'2 or more':>12}{'3 or more':>12}")
    for name, resample in RESAMPLE.items():
        for kind, smooth in (("noise", 1), ("smooth", 8)):
            try:
                off = steps(resample, smooth)
            except NotImplementedError:
                print(f"{name:10}tensors have no such resize")
                break
            shares = "".join(f"{np.mean(off >= n):12.4%}" for n in (1, 2, 3))
            print(f"{name:10}{kind:10}{off.max():6.0f}{shares}")


if __name__ == "__main__":
    main()
