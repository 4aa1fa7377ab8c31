"""What to type for this command line."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

__all__ = ["program"]


def program() -> str:
    """What to type for this command line in this workspace."""
    script, python, here = Path(sys.argv[0]), Path(sys.executable), Path.cwd()
    python = python.relative_to(here) if python.is_relative_to(here) else python
    words = [str(python), str(script)] if script.suffix == ".py" else ["stackclip"]
    if script.name == "__main__.py":
        words = [str(python), "-m", "stackclip"]
    root = click.get_current_context().find_root()
    if root.get_parameter_source("workspace") is click.core.ParameterSource.COMMANDLINE:
        words += ["--workspace", str(root.params["workspace"])]
    return shlex.join(words)
