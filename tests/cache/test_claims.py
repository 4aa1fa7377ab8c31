"""Claims: a part is brought once, by whoever takes it first."""

from __future__ import annotations

from stackclip.cache.claims import Claims
from stackclip.types import CLS, MASK, patch


def test_what_was_there_before_or_was_taken_is_not_taken_again() -> None:
    claims = Claims(lambda digest, part: (digest, part) == ("a", CLS))
    assert claims.take("a", (CLS, patch(1))) == {patch(1)}
    assert claims.take("a", (patch(1), patch(2), MASK)) == {patch(2), MASK}
    assert claims.take("a", (CLS, patch(2))) == frozenset()
    assert claims.take("b", (CLS,)) == {CLS}


def test_claims_see_what_others_brought_meanwhile() -> None:
    held = set()
    ours = Claims(lambda digest, part: (digest, part) in held)
    theirs = Claims(ours.holds)
    assert not theirs.holds("a", CLS)
    held.add(("a", CLS))
    ours.take("a", (MASK,))
    assert theirs.take("a", (CLS, MASK, patch(1))) == {patch(1)}
    assert not ours.holds("a", patch(1))
