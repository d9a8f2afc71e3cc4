"""The runner as one file that any Python from 3.9 on runs: `python runner.pyz job.json`."""

from __future__ import annotations

import zipfile
from pathlib import Path

NAME = "runner.pyz"
PACKAGE = "regnet_edge_runner"  # inside, so that no runtime's own import meets a module of ours
START = f"import sys\n\nfrom {PACKAGE}.__main__ import main\n\nsys.exit(main())\n"


def pack(folder: Path, runner: Path = Path(__file__).parent) -> Path:
    """The runner's modules written as runner.pyz into the folder, the same bytes each time."""
    modules = {f"{PACKAGE}/{path.relative_to(runner).as_posix()}": path for path in runner.rglob("*.py")}
    texts = {name: modules[name].read_text(encoding="utf-8") for name in sorted(modules)}
    made = folder / NAME
    with zipfile.ZipFile(made, "w") as archive:  # stored: small, and a board's Python may lack zlib
        for name, text in {"__main__.py": START, **texts}.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return made
