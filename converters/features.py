"""The definition up to its last wanted stage: the results of stages instead of logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from regnet_edge.request import ExportRequest

from . import Source

if TYPE_CHECKING:
    from regnet_edge.model import RegNet


def with_stages(net: RegNet, stages: Sequence[str]) -> RegNet:
    """The network, sharing its modules under their own names, that answers with each stage's result.

    forward takes images (n, c, h, w) and gives a tuple, one (n, width, h, w) a stage. Later stages and the
    head are not part of it.
    """
    import torch

    from regnet_edge.model import RegNet

    class Stages(RegNet):
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.config, self.stem, self.act = net.config, net.stem, net.act
            self.names = with_inputs(stages)
            for name in self.names:
                self.add_module(name, net.get_submodule(name))

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[override]  # several
            x, found = self.act(self.stem(image)), []
            for name in self.names:
                x = self.get_submodule(name)(x)
                found += [x] if name in stages else []
            return tuple(found)

    return Stages().eval()


def with_inputs(stages: Sequence[str]) -> tuple[str, ...]:
    """The stages with all that come before them."""
    last = max((int(name.removeprefix("s")) for name in stages), default=0)
    return tuple(f"s{i}" for i in range(1, last + 1))


def outputs_in(source: Source, request: ExportRequest) -> Source:
    """The shared network, or the part of it whose stages the request wants."""
    if not request.output:
        return source
    return source.with_module(with_stages(source.module, request.output))
