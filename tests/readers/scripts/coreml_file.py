"""An .mlpackage in coremltools' own hands: python coreml_file.py HOW FILE CHANGED PLAIN OUTPUT...

HOW renames, palettizes, prunes or quantizes the package and saves it as CHANGED; PLAIN is the same with
every weight written out again, by coremltools too. Nothing of the project is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

for name in ("executorch", "sklearn", "tensorflow", "torch", "torchvision", "transformers", "xgboost"):
    sys.modules[name] = None  # type: ignore[assignment]  # coremltools looks for each, which takes seconds

import coremltools as ct  # noqa: E402  # which has to look for none of them
import coremltools.optimize as cto  # noqa: E402  # the same

SMALLEST = 16  # elements of a weight: a tiny network has no larger ones


def rename(model: Any, names: Sequence[str]) -> Any:
    """Input and outputs under names of an app's own."""
    spec = model.get_spec()
    for name in ("image", *names):
        ct.utils.rename_feature(spec, name, f"app_{name}")
    return ct.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True)


def palettize(model: Any, _: Sequence[str]) -> Any:
    """Weights from a table of 256 numbers each."""
    how = cto.coreml.OpPalettizerConfig(mode="uniform", nbits=8, weight_threshold=SMALLEST)
    return cto.coreml.palettize_weights(model, cto.coreml.OptimizationConfig(how))


def prune(model: Any, _: Sequence[str]) -> Any:
    """The tenth of each weight that is nearest to 0, away."""
    how = cto.coreml.OpMagnitudePrunerConfig(target_sparsity=0.1, weight_threshold=SMALLEST)
    return cto.coreml.prune_weights(model, cto.coreml.OptimizationConfig(how))


def quantize(model: Any, _: Sequence[str]) -> Any:
    """Weights in int8 with a scale a channel."""
    how = cto.coreml.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=SMALLEST)
    return cto.coreml.linear_quantize_weights(model, cto.coreml.OptimizationConfig(how))


def main(how: str, path: str, changed: str, plain: str, *names: str) -> None:
    """Change the package one way and save it, and the same with plain weights."""
    model = globals()[how](ct.models.MLModel(path, skip_model_load=True), names)
    model.save(changed)
    cto.coreml.decompress_weights(model).save(plain)


if __name__ == "__main__":
    main(*sys.argv[1:])
