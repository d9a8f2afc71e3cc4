"""`regnet-edge bundle zip`: files with all that an app's developer needs, in one file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class ZipOptions:
    """The command line of `bundle zip` as it was typed."""

    artifacts: tuple[Path, ...]
    images: Path | None
    weights: str
    force: bool
    output: Path
    as_json: bool


@click.command("zip")
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--images", type=click.Path(path_type=Path), help="Folder of pictures for the golden data.")
@click.option("--weights", default="", help="Where the definition's checkpoint lies now.")
@click.option("-f", "--force", is_flag=True, help="Take files without parity or labels.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("bundle.zip"), show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def zip_(**typed: Any) -> None:
    """Put ARTIFACTS into one zip: files, sidecars, labels, golden data, and code that loads them.

    The same artifacts give the same bytes. regnet-edge verify FILE.zip proves them again on any machine.

    \b
    regnet-edge bundle zip out/*.tflite out/*.mlpackage -o regnet.zip
    regnet-edge verify regnet.zip
    """
    from regnet_edge.artifact import Artifact, without_sidecars
    from regnet_edge.bundles import zipped
    from regnet_edge.files import check_output, sha256_of, size_of

    options = ZipOptions(**typed)
    read = [*options.artifacts, *([options.images] if options.images else [])]
    check_output(options.output, read, is_ours=zipped.may_replace)
    found = [Artifact.load(path) for path in without_sidecars(options.artifacts)]
    zipped.write(found, options.output, images=options.images, weights=options.weights, force=options.force)
    names, size = [a.path.name for a in found], size_of(options.output)
    if options.as_json:
        told = {
            "path": str(options.output),
            "bytes": size,
            "files": names,
            "sha256": sha256_of(options.output),
        }
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(f"{options.output}: {len(names)} models, {size / 1e6:.1f} MB")
    click.echo(f"next: regnet-edge verify {options.output}")
