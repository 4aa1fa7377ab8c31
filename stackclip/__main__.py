"""`python -m stackclip` is the command `stackclip`."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["run"]


def run(workspace: Path | None = None) -> None:
    """Run the command line; `workspace` is the folder of a checkout's `cli.py`. Ctrl-C ends imports in order too."""
    try:
        from stackclip.cli import main
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    main(workspace=workspace)


if __name__ == "__main__":
    run()
