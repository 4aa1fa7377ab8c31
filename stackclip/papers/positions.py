"""Which methods were released with another resize of the position embeddings than the tower at work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stackclip.benchmarks.facts import facts_of
from stackclip.types import Row

__all__ = ["position_notes"]


def position_notes(rows: Iterable[Row]) -> Iterator[str]:
    """One line for each way that methods were released with and the tower, at a size that resizes them, has not."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        facts = facts_of(row)
        here, released = facts.position_embedding, facts.released_positions
        if released and here and released != here and facts.positions_resized:
            found.setdefault((released, here), {})[row.method] = None
    for (released, here), methods in found.items():
        yield (
            f"{', '.join(methods)}: released with position embeddings resized {released}, here {here}; "
            f"--position-embedding {released} takes theirs, for all methods"
        )
