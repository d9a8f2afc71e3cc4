"""`regnet-edge bundle android`: models put into the Android app."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from regnet_edge.artifact import Artifact
    from regnet_edge.bundles.android import Bundle


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of `bundle android` as it was typed."""

    models: tuple[str, ...]
    base: Path | None
    abi: str
    project: Path | None
    keystore: Path | None
    images: Path | None
    weights: str
    force: bool
    output: Path
    as_json: bool


@click.command("android")
@click.argument("models", nargs=-1, required=True)
@click.option("--base", type=click.Path(path_type=Path), help="Base APK; default: what make apk built.")
@click.option("--abi", default="", help="arm64-v8a (default) or x86_64.")
@click.option("--project", type=click.Path(path_type=Path), help="Write into this Gradle project instead.")
@click.option(
    "--keystore", type=click.Path(path_type=Path),
    help="Sign with this key (password in REGNET_EDGE_KEYSTORE_PASSWORD); default: this machine's debug key.",
)  # fmt: skip
@click.option("--images", type=click.Path(path_type=Path), help="Folder of pictures for the golden data.")
@click.option("--weights", default="", help="Where the definition's checkpoint lies now.")
@click.option(
    "-f", "--force", is_flag=True, help="Take files without parity or labels, and untried pairings."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("app.apk"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def android(**typed: Any) -> None:
    """Put MODELS into the Android app: artifacts, or names of models, which are converted first.

    Adds artifacts, sidecars and golden data to a base APK, drops the libraries of runtimes that no
    model needs, and signs. A model's name is converted in fp32 for every runtime of the base.

    \b
    regnet-edge bundle android out/*.tflite out/*.pte -o app.apk
    regnet-edge bundle android regnety_15mf_fashion_mnist --abi x86_64
    regnet-edge bundle android out/*.tflite --project apps/android
    """
    options = Options(**typed)
    if options.project is not None:
        _into_project(options, options.project)
    else:
        _into_apk(options)


def _into_apk(options: Options) -> None:
    from regnet_edge.bundles import android, apk, signing
    from regnet_edge.files import check_output
    from regnet_edge.temporary import TemporaryFolder

    base = android.find_base(options.base, options.abi or android.ABIS[0])
    others = [p for p in (options.images, options.keystore) if p is not None]
    check_output(options.output, [base, *others, *map(Path, options.models)], is_ours=android.is_package)
    key = signing.release_key(options.keystore) if options.keystore else None
    packed = apk.marker(apk.read(base), base).runtimes
    with TemporaryFolder() as folder:
        artifacts = _artifacts(options.models, sorted(packed), Path(folder))
        made = android.make(
            artifacts, base, options.output, abi=options.abi, key=key, images=options.images,
            weights=options.weights, force=options.force,
        )  # fmt: skip
    _print(made, options.as_json)


def _into_project(options: Options, project: Path) -> None:
    from regnet_edge.bundles import android
    from regnet_edge.temporary import TemporaryFolder

    with TemporaryFolder() as folder:
        artifacts = _artifacts(options.models, ("executorch", "tflite"), Path(folder))
        assets = android.into_project(
            artifacts, project, images=options.images, weights=options.weights, force=options.force
        )
    click.echo(f"{len(artifacts)} models in {assets}; next: gradle -p {project} assembleDebug")


def _artifacts(models: Sequence[str], targets: Sequence[str], folder: Path) -> list[Artifact]:
    """The files as they are, and each model's name converted and verified in the folder."""
    from regnet_edge.artifact import Artifact, without_sidecars

    files = without_sidecars([Path(m) for m in models if Path(m).exists()])
    names = [m for m in models if not Path(m).exists()]
    return [Artifact.load(p) for p in files] + [a for n in names for a in _converted(n, targets, folder)]


def _converted(model: str, targets: Sequence[str], folder: Path) -> list[Artifact]:
    from regnet_edge.converters.cache import Cache
    from regnet_edge.converters.proof.parity import verify
    from regnet_edge.converters.run import convert
    from regnet_edge.errors import ArtifactError, ConversionError
    from regnet_edge.request import ExportRequest
    from regnet_edge.resolve import ModelChoice, resolve

    if "/" in model or Path(model).suffix in (".tflite", ".pte", ".onnx", ".mlpackage"):
        raise ArtifactError(f"no artifact at {model}; make one with regnet-edge convert")
    spec, note = resolve(ModelChoice(model))
    if note:
        click.echo(note, err=True)
    cache = Cache.default()
    outcomes = convert([ExportRequest(spec, t) for t in targets], folder, cache=cache)
    if failed := next((o for o in outcomes if o.artifact is None), None):
        raise ConversionError(failed.failure)
    made = [o.artifact for o in outcomes if o.artifact]
    renewed = {a.path: a for a in verify([a.path for a in made if a.parity is None])}
    for artifact in renewed.values():
        if cache is not None:
            cache.renew(artifact)
    return [renewed.get(a.path, a) for a in made]


def _print(made: Bundle, as_json: bool) -> None:
    from regnet_edge import codec

    if as_json:
        click.echo(codec.dumps(made), nl=False)
        return
    from regnet_edge.cli._tables import print_table

    print_table(("part", "MB"), [(p.name, f"{p.bytes / 1e6:.2f}") for p in made.parts])
    click.echo(
        f"{made.path} for {made.abi}: {made.download_bytes / 1e6:.1f} MB to download, "
        f"{made.installed_bytes / 1e6:.1f} MB installed, signed by {made.signer}"
    )
    click.echo(f"next: adb install -r {made.path}")
