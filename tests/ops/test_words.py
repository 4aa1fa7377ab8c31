"""Numbers in sentences."""

from __future__ import annotations

import pytest

from stackclip.ops.words import agreed, counted


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 pictures have"), (1, "1 picture has"), (2, "2 pictures have"), (11, "11 pictures have")]
)
def test_nouns_and_verbs_go_with_their_number(number: int, said: str) -> None:
    assert f"{counted(number, 'picture')} {agreed('have', number)}" == said
    assert {agreed(verb, 1) for verb in ("are", "were", "lack")} == {"is", "was", "lacks"}
