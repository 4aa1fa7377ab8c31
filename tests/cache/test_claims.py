"""Claims: a part is brought once, by whoever takes it first."""

from __future__ import annotations

from stackclip.cache.claims import Claims
from stackclip.types import CLS, MASK, Part, patch


def test_what_was_there_before_or_was_taken_is_not_taken_again() -> None:
    claims = Claims(lambda digest: frozenset({CLS} if digest == "a" else ()))
    assert claims.take("a", (CLS, patch(1))) == {patch(1)}
    assert claims.take("a", (patch(1), patch(2), MASK)) == {patch(2), MASK}
    assert claims.take("a", (CLS, patch(2))) == frozenset()
    assert claims.take("b", (CLS,)) == {CLS}


def test_claims_see_what_others_brought_meanwhile() -> None:
    held = dict[str, frozenset[Part]]()
    ours = Claims(lambda digest: held.get(digest, frozenset()))
    theirs = Claims(ours.held)
    assert CLS not in theirs.held("a")
    held["a"] = frozenset({CLS})
    ours.take("a", (MASK,))
    assert theirs.take("a", (CLS, MASK, patch(1))) == {patch(1)}
    assert ours.held("a") == {CLS, MASK}
    assert theirs.held("a") == {CLS, MASK, patch(1)}
