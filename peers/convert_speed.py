"""All four targets by regnet-edge against the four native pipelines, same run, fresh processes, no cache.

Run: python peers/convert_speed.py [--int8] [--memory]
Ends with exit code 1 where a limit does not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from native import SUFFIXES
from processes import Usage, usage_of

MODEL, LARGE, RESOLUTION = "regnety_400mf", "regnety_32gf", 224
SPEED_LIMITS = {"fp32": 0.5, "int8": 0.4}  # our seconds by the native tools'
MEMORY_LIMIT_BYTES, MEMORY_RATIO_LIMIT = 8_000_000_000, 1.1
CALIBRATION_IMAGES = 32


def ours(model: str, target: str, folder: Path, *options: str) -> Usage:
    """`regnet-edge convert` as a user starts it."""
    program = str(Path(sys.executable).parent / "regnet-edge")
    place = ["--target", target, "--out", str(folder), "--no-cache", "--no-verify"]
    return usage_of([program, "convert", "--model", model, "--untrained", *place, *options])


def native(model: str, target: str, folder: Path, *images: str) -> Usage:
    """One of the tools' own pipelines."""
    script = str(Path(__file__).with_name("native.py"))
    out = str(folder / f"{model}{SUFFIXES[target]}")
    return usage_of([sys.executable, script, target, model, str(RESOLUTION), out, *images])


def speed(folder: Path, precision: str) -> bool:
    """Print seconds of both; whether the ratio is within its limit."""
    options, images = ([], []) if precision == "fp32" else calibration(folder)
    mine = ours(MODEL, "all", folder / "ours", "--precision", precision, *options).seconds
    theirs = {target: native(MODEL, target, folder / "native", *images).seconds for target in SUFFIXES}
    ratio, limit = mine / sum(theirs.values()), SPEED_LIMITS[precision]
    each = ", ".join(f"{target} {seconds:.1f}" for target, seconds in theirs.items())
    print(f"{MODEL} {precision}, four targets: regnet-edge {mine:.1f} s")
    print(f"native tools one after another: {sum(theirs.values()):.1f} s ({each})")
    print(f"ratio {ratio:.3f}, at most {limit}: {verdict(ratio <= limit)}", flush=True)
    return ratio <= limit


def calibration(folder: Path) -> tuple[list[str], list[str]]:
    """The same images for both: our options, and a file of what the network sees."""
    import numpy as np

    from regnet_edge.converters.int8 import calibration as quantize
    from regnet_edge.resolve import Choice, resolve

    spec, _ = resolve(Choice(MODEL, untrained=True))
    chosen = quantize.calibration(spec, count=CALIBRATION_IMAGES)
    np.save(folder / "images.npy", quantize.images(spec, chosen))
    return ["--calibration-images", str(CALIBRATION_IMAGES)], [str(folder / "images.npy")]


def memory(folder: Path) -> bool:
    """Print peaks of the largest RegNet; whether they are within their limits."""
    good = True
    for target in SUFFIXES:
        mine, theirs = (f(LARGE, target, folder / f.__name__).peak_bytes for f in (ours, native))
        ratio = mine / theirs
        good &= ratio <= MEMORY_RATIO_LIMIT
        print(
            f"{LARGE} {target}: regnet-edge {mine / 1e9:.2f} GB, native {theirs / 1e9:.2f} GB, ratio "
            f"{ratio:.2f}, at most {MEMORY_RATIO_LIMIT}: {verdict(ratio <= MEMORY_RATIO_LIMIT)}",
            flush=True,
        )
    whole = ours(LARGE, "all", folder / "all")
    within = whole.peak_bytes <= MEMORY_LIMIT_BYTES
    print(
        f"{LARGE} all four: {whole.peak_bytes / 1e9:.2f} GB in {whole.seconds:.0f} s, at most "
        f"{MEMORY_LIMIT_BYTES / 1e9:.0f} GB: {verdict(within)}"
    )
    return good and within


def verdict(good: bool) -> str:
    """What the line says at its end."""
    return "holds" if good else "DOES NOT HOLD"


def main() -> None:
    """Speed by default; what the options ask for instead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--int8", action="store_true", help="int8 instead of fp32")
    parser.add_argument("--memory", action="store_true", help="peak memory of the largest RegNet")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = memory(folder) if options.memory else speed(folder, "int8" if options.int8 else "fp32")
    sys.exit(not good)


if __name__ == "__main__":
    main()
