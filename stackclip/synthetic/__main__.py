"""`python -m stackclip.synthetic OUT.png`: sheets of named examples, to look at."""

from __future__ import annotations

import argparse
from pathlib import Path

from stackclip.synthetic.sheet import SHEETS, contact_sheet


def main() -> None:
    """Save OUT-patterns.png, OUT-shapes.png, OUT-defects.png and OUT-assemblies.png and print their names."""
    parser = argparse.ArgumentParser(prog="python -m stackclip.synthetic", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.png")
    parser.add_argument("--size", type=int, default=160, help="side of each picture in pixels (default: 160)")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    out: Path = arguments.out
    for what in SHEETS:
        path = out.with_name(f"{out.stem}-{what}{out.suffix or '.png'}")
        contact_sheet(what, size=arguments.size, seed=arguments.seed).save(path)
        print(path)


if __name__ == "__main__":
    main()
