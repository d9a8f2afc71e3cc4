"""What the `regnet-edge` command runs first: small, so that Ctrl-C is no traceback while the rest loads."""

from __future__ import annotations

import os
import sys

from regnet_edge.streams import STOPPED, STOPPED_CODE, open_streams


def main() -> None:
    """Run the command line."""
    # no Python that it starts takes modules from the current folder, which may be anybody's download
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    try:
        open_streams()
        from regnet_edge.cli import main as run

        run()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            print(STOPPED, file=sys.stderr, flush=True)
        os._exit(STOPPED_CODE)


if __name__ == "__main__":
    main()
