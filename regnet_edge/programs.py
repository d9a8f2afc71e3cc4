"""Programs of this machine, run to their end."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from regnet_edge.errors import ToolError


def finished(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """The program, ended, with what it said, whatever its letters; the rest is as in subprocess.run.

    Raises ToolError where it cannot be started: it is missing, or may not be run.
    """
    try:
        return subprocess.run(
            command,
            env=env,
            cwd=cwd,
            timeout=timeout,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise ToolError(
            f"{command[0]} cannot be started ({error.strerror}); install it, or let what is there be run"
        ) from None
