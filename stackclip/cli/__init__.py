"""The command line: it parses and prints, and imports the machinery inside its verbs."""

from __future__ import annotations

from pathlib import Path

from stackclip.cli import bench, components, features, predict  # noqa: F401  # importing a verb's module adds it to the group
from stackclip.cli.group import cli, signals

__all__ = ["cli", "main"]


def main(workspace: Path | None = None) -> None:
    """Run the command line; `workspace` is the folder of a checkout's `cli.py`."""
    with signals():
        cli(auto_envvar_prefix="STACKCLIP", default_map={"workspace": str(workspace)} if workspace else None)
