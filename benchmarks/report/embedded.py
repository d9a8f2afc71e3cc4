"""What a file's embedded part costs: its latency beside that of the same file without it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from regnet_edge.request import ExportRequest

from ..record.latency import FileLatency, figure


def embedded_costs(requests: Iterable[ExportRequest], rows: Sequence[FileLatency]) -> tuple[str, ...]:
    """A sentence for each file that embeds something and was measured beside the one without it."""
    embedding = {request.key: request for request in requests if request.embed}
    found = {(row.first.artifact.request_key, row.first.setting): row for row in rows}
    said = []
    for row in rows:
        request = embedding.get(row.first.artifact.request_key)
        plain = found.get((replace(request, embed=()).key, row.first.setting)) if request else None
        if request is not None and plain is not None:
            said.append(_sentence(", ".join(request.embed), row, plain))
    return tuple(said)


def _sentence(embed: str, row: FileLatency, plain: FileLatency) -> str:
    cost = row.median_ms - plain.median_ms
    doubt = "" if row.valid and plain.valid else "; a verdict is invalid, so measure again"
    sign = "-" if cost < 0 else ""
    return (
        f"{row.first.shown_file}: {embed} cost {sign}{figure(abs(cost))} ms ({cost / plain.median_ms:+.1%}) "
        f"beside {plain.first.shown_file}{doubt}"
    )
