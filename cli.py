"""The command line of this workspace: components in `registry/`, features and results in `cache/`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from stackclip.__main__ import run  # noqa: E402  # the checkout goes before an installed stackclip

if __name__ == "__main__":
    run(workspace=ROOT)
