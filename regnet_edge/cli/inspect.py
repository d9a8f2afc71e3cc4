"""`regnet-edge inspect`: what is inside a file of any tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from regnet_edge.complexity import Complexity
    from regnet_edge.converters.contents import Contents, WeightType

LONGEST = 100  # characters of a metadata value in the terminal


@click.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--gpu", is_flag=True, help="Say whether TFLite's GPU delegate takes it whole; see regnet-edge env."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(file: Path, gpu: bool, as_json: bool) -> None:
    """Say what is inside a .tflite, .onnx, .pte or .mlpackage, ours or another tool's.

    Inputs and outputs with types and quantization, metadata, ops by kind, weights by type and size, flops,
    params and activations, those of each stage for a file of ours, and what no delegate takes. --gpu asks
    TensorFlow's own analyzer about a .tflite, in the environment that regnet-edge env create onnx-tf makes.

    \b
    regnet-edge inspect mobilenet_v3.tflite
    regnet-edge inspect model.pte --json
    regnet-edge inspect model.tflite --gpu
    """
    from regnet_edge.converters import isolated
    from regnet_edge.converters.proof.subject import converter_of
    from regnet_edge.errors import ArtifactError

    converter = converter_of(file)
    if not file.exists():
        raise ArtifactError(f"no file at {file}; check the path")
    held = isolated.contents(converter, file)
    stages, verdict = _stages(file), _on_gpu(file) if gpu else ""
    if as_json:
        from regnet_edge import codec

        shown = {"file": file.name, "target": converter.name, **codec.to_json(held)}
        shown["stages"] = {name: codec.to_json(counts) for name, counts in stages.items()}
        shown |= {"gpu": verdict} if gpu else {}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        _print(file, converter.name, held, stages)
        if verdict:
            click.echo(f"  gpu      {verdict}")


def _on_gpu(file: Path) -> str:
    from regnet_edge.converters.guests.gpu import sentence

    return sentence(file)


def _stages(file: Path) -> dict[str, Complexity]:
    """Counts a stage of a file of ours, from its sidecar; empty for another's."""
    from regnet_edge import complexity
    from regnet_edge.artifact import Artifact, sidecar_of

    if not sidecar_of(file).exists():
        return {}
    model = Artifact.load(file).request.model
    return {p.name: p.complexity for p in complexity.stages(model.config, model.resolution)}


def _print(file: Path, target: str, held: Contents, stages: dict[str, Complexity]) -> None:
    click.echo(f"{file.name}  ({target}, {held.bytes_of(file) / 1e6:.2f} MB)")
    for word, tensors in (("input", held.inputs), ("output", held.outputs)):
        for tensor in tensors:
            click.echo(f"  {word:<8} {tensor.name} {tensor.text}".rstrip())
    click.echo(f"  counts   {_counts(held)}")
    for name, counts in stages.items():
        click.echo(f"    {name:<6} {_millions(counts)}")
    click.echo("  ops      " + ", ".join(f"{n} {kind}" for kind, n in _most(held.structure.ops)))
    for weight in held.weights:
        click.echo(f"  weights  {_weight(weight)}")
    if held.structure.needs:
        click.echo(f"  needs    {held.structure.needs}")
    if held.structure.delegated_ops is not None:
        taken, parts = held.structure.delegated_ops, held.structure.partitions or 0
        pieces = f"{parts} partition{'s' if parts != 1 else ''}"
        click.echo(f"  delegate {held.delegate} takes {taken} ops in {pieces}")
    if held.outside:
        click.echo("  outside  " + ", ".join(f"{n} {kind}" for kind, n in _most(held.outside)))
    for remark in held.remarks:
        click.echo(f"  note     {remark}")
    for key, value in sorted(held.metadata.items()):
        text = " ".join(value.split())
        click.echo(f"  says     {key}: {text[:LONGEST]}{'...' if len(text) > LONGEST else ''}")


def _most(ops: Any) -> list[tuple[str, int]]:
    return sorted(ops.items(), key=lambda item: (-item[1], item[0]))


def _weight(weight: WeightType) -> str:
    tensors = f"{weight.tensors} tensor{'s' if weight.tensors != 1 else ''}"
    return f"{weight.type}: {tensors}, {weight.elements:,} numbers, {weight.bytes / 1e6:.2f} MB"


def _counts(held: Contents) -> str:
    if held.counts is None:
        return "unknown: the graph does not tell every layer's size"
    return _millions(held.counts)


def _millions(counts: Complexity) -> str:
    flops, params, outputs = (n / 1e6 for n in (counts.flops, counts.params, counts.activations))
    return f"{flops:.1f} MFlops, {params:.3f} M params, {outputs:.2f} M activations"
