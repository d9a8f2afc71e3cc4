"""500 networks of 360 to 400 MF: this sampler against a loop that counts one network at a time.

Both draw the same networks from the same table of uniform numbers, in the same run on one core; the loop
stops after LOOPED networks and is scaled. Run: python peers/sampling.py
"""

from __future__ import annotations

import time

from regnet_edge.complexity import complexity
from regnet_edge.design_space.sampling import Regime, sample, uniforms
from regnet_edge.design_space.spaces import ANYNET_X_A, ANYNET_X_E, REGNET, Space

NETS, LOOPED, MOST_S = 500, 20, 1.0
WINDOW = Regime(360e6, 400e6)


def loop(space: Space, n: int) -> int:
    """Draws that a plain loop makes until n networks are inside the window."""
    found = draws = 0
    for table in uniforms(0, space.dims):
        for row in table:
            drawn = space.draw(row[None])
            draws += 1
            if drawn.valid[0]:
                counts = complexity(drawn.nets.config(0, space.frame))
                found += WINDOW.allows(1, counts)
            if found == n:
                return draws
    raise AssertionError


def main() -> None:
    """Print seconds for both and their ratio; fail where AnyNetX_A takes more than a second."""
    for space in (ANYNET_X_A, ANYNET_X_E, REGNET):
        sample(space, 1, 0, WINDOW)
        start = time.process_time()
        found = sample(space, NETS, 0, WINDOW)
        fast = time.process_time() - start
        looped = LOOPED if space is not REGNET else 2
        start = time.process_time()
        draws = loop(space, looped)
        slow = (time.process_time() - start) / draws * found.draws
        print(
            f"{space.name}: {NETS} of {found.draws:,} draws in {fast:.2f} s, a loop {slow:,.0f} s, "
            f"{slow / fast:,.0f} times"
        )
        if space is ANYNET_X_A and fast > MOST_S:
            raise SystemExit(f"{fast:.2f} s is more than {MOST_S:g} s")


if __name__ == "__main__":
    main()
