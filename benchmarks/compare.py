"""What the last run of the benchmarks found otherwise than the one before, figure by figure.

Run: python benchmarks/compare.py [PERCENT]; figures that changed by less are left out (5 where nothing is said).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "perf.json"


def changes(figures: Mapping[str, Mapping[str, Any]], percent: float) -> Iterator[str]:
    """A line for each figure that was measured twice and changed by so much or more."""
    for name, facts in figures.items():
        before = facts.get("before")
        if before is None or not before["value"]:
            continue
        change = 100 * (facts["value"] / before["value"] - 1)
        if abs(change) >= percent:
            elsewhere = "" if before["machine"] == facts["machine"] else f"  (before on {before['machine']})"
            yield f"{change:+6.0f} %  {before['value']:g} -> {facts['value']:g} {facts['unit']}  {name}{elsewhere}"


if __name__ == "__main__":
    found = list(changes(json.loads(RESULTS.read_text("utf-8")), float(sys.argv[1]) if sys.argv[1:] else 5.0))
    print("\n".join(found) or "nothing changed")
