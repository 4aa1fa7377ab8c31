"""The command line of this workspace: components in `registry/`, features and results in `cache/`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from stackclip.cli import main  # noqa: E402  # the checkout goes before an installed stackclip

if __name__ == "__main__":
    main(workspace=ROOT)
