"""Whole numbers in the place of real ones: what the scale and the zero point of a file's tensor say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class StatedSteps:
    """real = (step - zero) * scale; steps are whole numbers of that type."""

    scale: float
    zero: int
    kind: np.dtype[Any]

    @property
    def are_pixels(self) -> bool:
        """Whether step n stands for the number n of a pixel."""
        return self.kind == "uint8" and (self.scale, self.zero) == (1, 0)

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest real number."""
        import numpy as np

        whole = np.iinfo(self.kind)
        return (whole.min - self.zero) * self.scale, (whole.max - self.zero) * self.scale

    def of(self, real: NDArray[np.float32]) -> NDArray[Any]:
        """The nearest steps."""
        import numpy as np

        whole = np.iinfo(self.kind)
        steps: NDArray[Any] = np.clip(
            np.rint(real / np.float32(self.scale)) + self.zero, whole.min, whole.max
        )
        return steps.astype(self.kind)

    def real(self, steps: NDArray[Any]) -> NDArray[np.float32]:
        """What steps stand for."""
        import numpy as np

        found: NDArray[np.float32] = (steps.astype(np.float32) - self.zero) * np.float32(self.scale)
        return found
