"""Tables of the verbs that list: text left, numbers right, and no cell ever cut."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

PIPED_WIDTH = 80  # columns, where there is no terminal to ask
MAX_WIDTH = 1000


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, text_columns: int = 1) -> None:
    """Print rows under their columns; the first `text_columns` are text, the others numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if i < text_columns else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    whole = console.measure(table, options=console.options.update_width(MAX_WIDTH)).maximum
    Console(width=max(console.width, whole), highlight=False).print(table)


def millions(count: int) -> str:
    """The count in millions, such as 402.68 for 402,684,000."""
    return f"{count / 1e6:,.2f}"
