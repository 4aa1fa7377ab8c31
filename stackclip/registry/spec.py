"""`name[option=value,...]`: a component's name and options as they are typed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from stackclip.errors import UsageError

__all__ = ["Spec", "did_you_mean", "one_of", "split_at", "split_specs"]

_CLOSING = {"[": "]", "(": ")"}


@dataclass(frozen=True, slots=True)
class Spec:
    """A component's name and the options given with it, as text: `stacked[select=mean,clusters=2]`."""

    name: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if not self.options:
            return self.name
        return f"{self.name}[{','.join(f'{key}={value}' for key, value in sorted(self.options))}]"

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read `name` or `name[option=value,...]`; values may hold balanced brackets of their own."""
        text = text.strip()
        name, bracket, inside = text.partition("[")
        name = name.strip()
        if not name or (bracket and not inside.endswith("]")) or "]" in name:
            raise UsageError(f"cannot read {text!r}: wanted name or name[option=value,...]")
        given: dict[str, str] = {}
        for item in split_specs(inside[:-1]) if bracket else ():
            key, equals, value = item.partition("=")
            key, value = key.strip().replace("-", "_"), value.strip()
            if not equals or not key:
                raise UsageError(f"cannot read {item!r} in {text!r}: wanted option=value")
            if key in given:
                raise UsageError(f"{text!r} gives {key} twice")
            given[key] = value
        return cls(name, tuple(given.items()))

    def with_options(self, **options: object) -> Spec:
        """The same component with these options besides its own, which win."""
        return Spec(
            self.name, tuple({**{key: str(value) for key, value in options.items()}, **dict(self.options)}.items())
        )


def split_specs(text: str) -> tuple[str, ...]:
    """Split at the commas that stand outside brackets: `a[x=1,y=2],b` gives `a[x=1,y=2]` and `b`."""
    return tuple(piece for piece in split_at(",", text) if piece)


def split_at(divider: str, text: str) -> tuple[str, ...]:
    """The pieces between the dividers that stand outside brackets. Raises UsageError for brackets that do not fit."""
    pieces, awaited, start = [], "", 0  # the brackets that must close, the innermost last
    for position, character in enumerate(text):
        if character in _CLOSING:
            awaited += _CLOSING[character]
        elif character in _CLOSING.values():
            if not awaited.endswith(character):
                raise UsageError(f"cannot read {text!r}: {character!r} closes no bracket")
            awaited = awaited[:-1]
        elif character == divider and not awaited:
            pieces.append(text[start:position])
            start = position + 1
    if awaited:
        raise UsageError(f"cannot read {text!r}: a bracket is not closed")
    pieces.append(text[start:])
    return tuple(piece.strip() for piece in pieces)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def one_of(name: str, value: object, known: Iterable[str]) -> None:
    """Raise UsageError for a word that is none of those that are known."""
    words = tuple(known)
    if value not in words:
        raise UsageError(f"{name}={value!r}{did_you_mean(str(value), words)}; wanted {' or '.join(words)}")
