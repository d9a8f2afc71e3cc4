"""`regnet-edge weights`: checkpoints from one package's layout to another's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._pictures import picture_options, stated

if TYPE_CHECKING:
    from regnet_edge.weights import Loaded
    from regnet_edge.weights.inventory import Inventory
    from regnet_edge.weights.said import Said


@click.group("weights")
def command() -> None:
    """Read and write checkpoints of PYCLS, timm, torchvision, Hugging Face and this project.

    \b
    regnet-edge weights convert RegNetY-400MF_dds_8gpu.pyth regnety_400mf.safetensors --layout timm
    regnet-edge weights show checkpoint.pth
    """


@command.command("show")
@click.argument("source", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print the whole of it as JSON.")
def show(source: str, as_json: bool) -> None:
    """List what is in the checkpoint FILE: its networks, and what is said of pictures, classes and labels.

    FILE is a checkpoint, a Hugging Face or timm folder, or timm:NAME, torchvision:NAME, hf:NAME. Nothing is
    guessed; what the name alone claims is marked as assumed.

    \b
    regnet-edge weights show checkpoint.pth
    """
    from regnet_edge import codec
    from regnet_edge.weights.inventory import inventory

    found = inventory(source)
    if as_json:
        click.echo(codec.dumps(found), nl=False)
    else:
        _print_inventory(found)


def _print_inventory(found: Inventory) -> None:
    from regnet_edge.cli._tables import print_table

    known = f", published as {found.published}" if found.published else ""
    click.echo(f"{found.path}: {found.bytes / 1e6:.2f} MB, sha256 {found.sha256[:16]}{known}")
    rows = [
        (
            n.section or "(the file itself)",
            n.layout,
            n.not_here or n.shapes_of or "no zoo net",
            "none" if n.classes is None else str(n.classes),
            str(n.in_channels or "?"),
            f"{n.params:,}",
            " ".join(n.types),
        )
        for n in found.networks
    ]
    if rows:
        print_table(
            ("section", "layout", "shapes of", "classes", "channels", "params", "types"), rows, text_columns=3
        )
    else:
        click.echo("no network of a known layout")
    if found.keys:
        click.echo(f"other keys: {', '.join(found.keys)}")
    for said in found.said:
        click.echo(f"{said.origin}: {_words(said)}")
    if found.refused:
        click.echo(f"refused: {found.refused}")


def _words(said: Said) -> str:
    """What one source says, a word a value."""
    from dataclasses import fields

    names = [f.name for f in fields(said.settings) if f.name != "refused"]
    told = {name: getattr(said.settings, name) for name in names}
    words = [f"{name} {value}" for name, value in told.items() if value is not None]
    words += [f"refused: {sentence}" for sentence in dict.fromkeys(said.settings.refused.values())]
    if said.config is not None:
        words.insert(0, f"widths {said.config.widths}, activation {said.config.activation}")
    words += [f"{said.classes} classes"] if said.classes is not None else []
    words += [f"labels {said.labels[0]} ... {said.labels[-1]}"] if said.labels else []
    words += [f"licence {said.licence}"] if said.licence else []
    return "; ".join(words) or "nothing"


@command.command("convert")
@click.argument("source", metavar="IN")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--layout", default="own", show_default=True, help="own, pycls, timm, torchvision or hf.")
@click.option("--model", default="", help="What IN is, where nothing says it: zoo name, config file or rule.")
@click.option("--classes", type=int, help="Another number of classes draws a fresh head.")
@click.option("--section", default="", help="Which network of IN; see regnet-edge weights show.")
@click.option("--labels", default="", help="Text file, one label a line; or imagenet.")
@picture_options
@click.option("--force", is_flag=True, help="Replace OUT where it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print what was read and written as JSON.")
def convert(source: str, out: Path, layout: str, force: bool, as_json: bool, **typed: Any) -> None:
    """Write the checkpoint IN as OUT in another layout, its numbers unchanged, with what it says of itself.

    IN is a .safetensors, .pth, .pt or .pyth file in any layout, a folder of Hugging Face or timm, or
    timm:NAME, torchvision:NAME, hf:NAME. OUT's suffix says whether it is safetensors or PyTorch's format;
    with layout hf or timm and no suffix it is a folder, for from_pretrained and timm's local-dir. PYCLS's
    files count colours as BGR, the others as RGB: the stem is flipped as needed.

    \b
    regnet-edge weights convert RegNetY-400MF_dds_8gpu.pyth regnety_400mf.safetensors --layout timm
    regnet-edge weights convert timm:regnety_004 regnety_400mf --layout hf
    """
    from regnet_edge import weights
    from regnet_edge.resolve import ModelChoice, resolve

    fields = ("model", "classes", "section", "labels")
    choice = ModelChoice(weights=source, pictures=stated(typed), **{name: typed[name] for name in fields})
    spec, note = resolve(choice)
    if note:
        click.echo(note, err=True)
    new_head = spec.weights.new_head
    loaded = weights.convert(
        source, out, layout, spec.config, new_head=new_head, force=force, section=choice.section, about=spec
    )
    _print(loaded, source, out, layout, spec.name, as_json=as_json)


def _print(loaded: Loaded, source: str, out: Path, layout: str, model: str, *, as_json: bool) -> None:
    import json

    from regnet_edge.files import sha256_of, size_of

    params = sum(p.numel() for p in loaded.net.parameters())
    if as_json:
        read = {"path": source, "layout": loaded.layout, "section": loaded.section, "model": model}
        made = {"path": str(out), "layout": layout, "bytes": size_of(out), "sha256": sha256_of(out)}
        click.echo(json.dumps({"read": read, "written": made, "params": params}, indent=2))
        return
    section = f", {loaded.section}" if loaded.section else ""
    click.echo(f"{source}: {loaded.layout} layout{section}, {model}, {params:,} params")
    click.echo(f"{out}: {layout} layout, {size_of(out) / 1e6:.2f} MB")
    click.echo(f"next: regnet-edge convert --weights {out} --target onnx")
