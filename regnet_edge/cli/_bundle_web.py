"""`regnet-edge bundle web`: models in a page that any browser runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from regnet_edge.artifact import Artifact


@dataclass(frozen=True, slots=True)
class WebOptions:
    """The command line of `bundle web` as it was typed."""

    models: tuple[str, ...]
    single_file: bool
    litert: Path | None
    images: Path | None
    weights: str
    force: bool
    output: Path | None
    as_json: bool

    @property
    def target(self) -> Path:
        """What is written: a folder, or one HTML file."""
        return self.output or Path("page.html" if self.single_file else "page")


@click.command("web")
@click.argument("models", nargs=-1, required=True)
@click.option("--single-file", is_flag=True, help="One HTML file that opens from a disk or a messenger.")
@click.option(
    "--litert", type=click.Path(path_type=Path),
    help="Folder with LiteRT.js's two tarballs, for a machine without npm; they are kept from then on.",
)  # fmt: skip
@click.option("--images", type=click.Path(path_type=Path), help="Folder of pictures for the golden data.")
@click.option("--weights", default="", help="Where the definition's checkpoint lies now.")
@click.option("-f", "--force", is_flag=True, help="Take files without parity or labels.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="Folder or file to write (default: page, or page.html with --single-file).",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def web(**typed: Any) -> None:
    """Put MODELS into a web page: .tflite artifacts, or names of models, which are converted first.

    The page classifies pictures, proves each file by golden logits and measures it, in the browser of any
    phone or computer, and asks no other server for anything. Serve the folder with any static server, or
    measure through it with regnet-edge benchmark --host web.

    \b
    regnet-edge bundle web out/*.tflite -o page
    regnet-edge bundle web regnety_15mf_fashion_mnist --single-file -o regnet.html
    """
    from regnet_edge.bundles.web import check_place
    from regnet_edge.temporary import TemporaryFolder

    options = WebOptions(**typed)
    read = [Path(m) for m in options.models] + ([options.images] if options.images else [])
    check_place(options.target, read, single_file=options.single_file)
    with TemporaryFolder() as folder:
        artifacts = _artifacts(options.models, Path(folder))
        _write(options, artifacts)
    _report(options, artifacts)


def _artifacts(models: Sequence[str], folder: Path) -> list[Artifact]:
    """The .tflite files as they are, and each model's name converted and verified in the folder."""
    from regnet_edge.artifact import Artifact, without_sidecars
    from regnet_edge.cli._web import browsable

    files = without_sidecars([Path(m) for m in models if Path(m).exists()])
    found = browsable([Artifact.load(p) for p in files])
    return found + [_converted(m, folder) for m in models if not Path(m).exists()]


def _converted(model: str, folder: Path) -> Artifact:
    from regnet_edge.converters.cache import Cache
    from regnet_edge.converters.proof.parity import verify
    from regnet_edge.converters.run import convert
    from regnet_edge.errors import ArtifactError, ConversionError
    from regnet_edge.request import ExportRequest
    from regnet_edge.resolve import ModelChoice, resolve

    if "/" in model or Path(model).suffix in (".tflite", ".pte", ".onnx", ".mlpackage"):
        raise ArtifactError(f"no artifact at {model}; make one with regnet-edge convert --target tflite")
    spec, note = resolve(ModelChoice(model))
    if note:
        click.echo(note, err=True)
    cache = Cache.default()
    [outcome] = convert([ExportRequest(spec, "tflite")], folder, cache=cache)
    if outcome.artifact is None:
        raise ConversionError(outcome.failure)
    if outcome.artifact.parity is not None:
        return outcome.artifact
    [verified] = verify([outcome.artifact.path])
    if cache is not None:
        cache.renew(verified)
    return verified


def _write(options: WebOptions, artifacts: Sequence[Artifact]) -> None:
    from regnet_edge.bundles import litert_js
    from regnet_edge.bundles import web as pages

    content = pages.Content(tuple(artifacts), options.images, options.weights, options.force)
    litert = litert_js.require(options.litert, lambda told: click.echo(told, err=True))
    write = pages.write_single_file if options.single_file else pages.write_folder
    write(content, options.target, litert)


def _report(options: WebOptions, artifacts: Sequence[Artifact]) -> None:
    from regnet_edge.files import size_of

    size, names = size_of(options.target), [a.path.name for a in artifacts]
    if options.as_json:
        click.echo(json.dumps({"path": str(options.target), "bytes": size, "files": names}, indent=2))
        return
    click.echo(f"{options.target}: {len(names)} models, {size / 1e6:.1f} MB")
    if options.single_file:
        click.echo(f"next: open {options.target} in a browser, or send it to a phone")
    else:
        click.echo(f"next: python -m http.server --directory {options.target}")
