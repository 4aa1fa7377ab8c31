"""LaTeX code of a text shows the text, and is no wider than was said."""

from __future__ import annotations

import pytest

from stackclip.reports.typeset import breakable, in_box, longest, tex, width_of


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a[x=1_2%]", r"a[x=1\_2\%]"),
        ("50% #1 & $x^2$ {~}\\", r"50\% \#1 \& \$x\textasciicircum{}2\$ \{\textasciitilde{}\}\textbackslash{}"),
        ("a\n\\input{x}<|>", r"a\textbackslash{}n\textbackslash{}input\{x\}\textless{}\textbar{}\textgreater{}"),
        ("\u202egnp", r"\textbackslash{}u202egnp"),
        ("größe", "größe"),
        ("u\u0308", "ü"),
        ("日本 α", r"\unicodename{日本}{U+65E5 U+672C} \unicodename{α}{U+03B1}"),
        ("--''---", r"-{}-'{}'-{}-{}-"),
        ("a\u2003b\xa0c", "a b c"),
    ],
)
def test_signs_show_themselves(text: str, code: str) -> None:
    assert tex(text) == code


def test_only_words_that_are_too_wide_may_be_broken_and_at_their_signs_if_they_have_some() -> None:
    assert breakable("one winclip[shots=4]", 200) == "one winclip[shots=4]"
    assert breakable("one winclip[shots=4]", 50) == r"one winclip\allowbreak{}[shots=\allowbreak{}4]"
    assert breakable("xxxx", 12) == r"\allowbreak{}".join("xxxx")
    assert width_of("xxxx") > 12 > width_of("x")
    assert longest("a bc winclip[shots=4]") == width_of("[shots=")
    assert in_box("short", 100) == "short"
    assert in_box("two words", 30, head=True) == r"\parbox[b]{30.0pt}{\centering\strut two words\strut}"
