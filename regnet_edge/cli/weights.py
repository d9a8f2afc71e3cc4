"""`regnet-edge weights`: checkpoints from one package's layout to another's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from regnet_edge.weights import Loaded

CONTEXT = {"help_option_names": ["-h", "--help"]}


@click.group("weights", context_settings=CONTEXT)
def command() -> None:
    """Read and write checkpoints of PYCLS, timm, torchvision, Hugging Face and this project.

    \b
    regnet-edge weights convert RegNetY-400MF_dds_8gpu.pyth regnety_400mf.safetensors --layout timm
    """


@command.command("convert", context_settings=CONTEXT)
@click.argument("source", metavar="IN")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--layout", default="own", show_default=True, help="own, pycls, timm, torchvision or hf.")
@click.option("--model", help="What IN is, where its shapes are not those of a zoo net: name, file or rule.")
@click.option("--classes", type=int, help="Draw a fresh head for so many classes.")
@click.option("--force", is_flag=True, help="Replace OUT where it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print what was read and written as JSON.")
def convert(
    source: str, out: Path, layout: str, model: str | None, classes: int | None, force: bool, as_json: bool
) -> None:
    """Write the checkpoint IN as OUT in another layout, its numbers unchanged.

    IN is a .safetensors, .pth, .pt or .pyth file in any layout, a Hugging Face folder, or timm:NAME,
    torchvision:NAME, hf:NAME. OUT's suffix says whether it is safetensors or PyTorch's format; with layout
    hf and no suffix it is a folder for from_pretrained. PYCLS's files count colours as BGR, the others as
    RGB: the stem is flipped as needed.

    \b
    regnet-edge weights convert RegNetY-400MF_dds_8gpu.pyth regnety_400mf.safetensors --layout timm
    regnet-edge weights convert timm:regnety_004 regnety_400mf.pth --layout torchvision
    """
    from dataclasses import replace

    from regnet_edge import configs, weights

    config = configs.parse(model) if model else None
    if classes is not None:
        config = weights.read(source, config).net.config if config is None else config
        config = replace(config, num_classes=classes)
    loaded = weights.convert(source, out, layout, config, new_head=classes is not None, force=force)
    _print(loaded, source, out, layout, as_json=as_json)


def _print(loaded: Loaded, source: str, out: Path, layout: str, *, as_json: bool) -> None:
    import json

    from regnet_edge.files import sha256_of, size_of

    params = sum(p.numel() for p in loaded.net.parameters())
    if as_json:
        read = {"path": source, "layout": loaded.layout, "section": loaded.section, "model": loaded.model}
        made = {"path": str(out), "layout": layout, "bytes": size_of(out), "sha256": sha256_of(out)}
        click.echo(json.dumps({"read": read, "written": made, "params": params}, indent=2))
        return
    section = f", {loaded.section}" if loaded.section else ""
    model = f", {loaded.model}" if loaded.model else ""
    click.echo(f"{source}: {loaded.layout} layout{section}{model}, {params:,} params")
    click.echo(f"{out}: {layout} layout, {size_of(out) / 1e6:.2f} MB")
    if loaded.model:
        click.echo(f"next: regnet-edge convert --model {loaded.model} --weights {out} --target onnx")
