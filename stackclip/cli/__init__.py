"""The command line: it parses and prints, and imports the machinery inside its verbs."""

from __future__ import annotations

import sys
from pathlib import Path

from stackclip.cli import (  # importing a verb's module adds it to the group
    ablate,  # noqa: F401
    bench,  # noqa: F401
    completion,
    components,  # noqa: F401
    data,  # noqa: F401
    demo,  # noqa: F401
    export,  # noqa: F401
    features,  # noqa: F401
    inspecting,  # noqa: F401
    own,  # noqa: F401
    report,  # noqa: F401
    stores,  # noqa: F401
    study,  # noqa: F401
    submission,  # noqa: F401
    weights,  # noqa: F401
)
from stackclip.cli.config import ENVIRONMENT
from stackclip.cli.group import cli, echo
from stackclip.cli.process import harmless_streams, signals

__all__ = ["cli", "main"]

completion.propose(cli)


def main(workspace: Path | None = None) -> None:
    """Run the command line; `workspace` is the folder of a checkout's `cli.py`."""
    with harmless_streams(), signals():
        try:
            Path.cwd()
        except OSError as error:
            echo(f"Error: the working directory cannot be used ({error.strerror}); go to one that is there", err=True)
            sys.exit(1)
        cli(auto_envvar_prefix=ENVIRONMENT, default_map={"workspace": str(workspace)} if workspace else None)
