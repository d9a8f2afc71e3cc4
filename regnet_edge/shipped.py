"""The trained network and the images that come with the project, so that nothing needs a download.

`write_assets` makes those files from a training run, the same bytes for the same run. Nothing here
needs torch.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path

from regnet_edge import arrays, codec, data
from regnet_edge.data import Images
from regnet_edge.errors import ArtifactError
from regnet_edge.files import replacing, sha256_of, write_text
from regnet_edge.reading import read_json_object
from regnet_edge.request import ModelSpec, WeightsRef

CALIBRATION_IMAGES, CALIBRATION_SEED = 1024, 20170825
_WEIGHTS, _MODEL = "default.safetensors", "default.json"
_TEST, _CALIBRATION = "fashion_mnist_test.npz", "fashion_mnist_calibration.npz"


def assets_dir() -> Path:
    """The folder of the shipped files."""
    return Path(str(resources.files("regnet_edge"))) / "assets"


def _asset(name: str) -> Path:
    path = assets_dir() / name
    if not path.is_file():
        raise ArtifactError(f"the installation lacks {name}; install regnet-edge again")
    return path


def default_weights_path() -> Path:
    """The shipped checkpoint, safetensors in the definition's own layout."""
    return _asset(_WEIGHTS)


def default_model() -> ModelSpec:
    """The shipped network's description, its weights named by their hash.

    Raises ArtifactError where a shipped file is missing or not the one that was shipped.
    """
    path = _asset(_MODEL)
    try:
        spec = codec.from_json(read_json_object(path), ModelSpec)
    except ValueError as error:
        raise ArtifactError(
            f"the shipped {path.name} is damaged ({error}); install regnet-edge again"
        ) from error
    if sha256_of(default_weights_path()) != spec.weights.sha256:
        raise ArtifactError(f"the shipped {_WEIGHTS} is damaged (sha256 differs); install regnet-edge again")
    return spec


def test_images() -> Images:
    """The 10,000 test images of Fashion-MNIST, uint8 (10000, 28, 28), with labels."""
    return arrays.read_npz(_asset(_TEST))


def calibration_images() -> Images:
    """1,024 training images of Fashion-MNIST, uint8 (1024, 28, 28), with labels.

    Drawn by `data.sample` with CALIBRATION_SEED, classes as even as they can be; no test image is
    among them.
    """
    return arrays.read_npz(_asset(_CALIBRATION))


def write_assets(run: Path, assets: Path, fashion_mnist: Path = arrays.FASHION_MNIST_DIR) -> None:
    """Make the shipped files in `assets` from the folder of a finished `regnet-edge train`.

    Writes the weights, the description and both sets of images; the model card and the data's licence
    are texts that lie beside them.
    """
    spec = codec.from_json(read_json_object(run / "model.json"), ModelSpec)
    with replacing(assets / _WEIGHTS) as scratch:
        scratch.write_bytes((run / "model.safetensors").read_bytes())
    shipped = replace(spec, weights=WeightsRef("shipped", sha256=sha256_of(assets / _WEIGHTS)))
    write_text(assets / _MODEL, codec.dumps(shipped))
    train = arrays.fashion_mnist("train", fashion_mnist)
    arrays.write_npz(arrays.fashion_mnist("test", fashion_mnist), assets / _TEST)
    arrays.write_npz(data.sample(train, CALIBRATION_IMAGES, CALIBRATION_SEED), assets / _CALIBRATION)
