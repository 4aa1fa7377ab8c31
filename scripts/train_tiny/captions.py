"""Captions: what a picture may be called, in which state it may be said to be, and which pictures a caption fits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scripts.train_tiny.pool import NAMES, UNKNOWN
from stackclip.prompts.ensemble import CPE
from stackclip.types import ANOMALOUS, NORMAL

__all__ = ["ANY", "Caption", "Captions", "all_phrases", "draw_captions", "fits"]

ANY = -1  # a column of the labels that a caption says nothing about
_PATTERNS, _SHAPES, _COLOURS, _KINDS = NAMES
_GENERIC = ("object", "product", "item", "part", "thing", "workpiece")
_STRANGE = ("gizmo", "widget", "spare unit", "contraption", "flange holder")
"""Names of which no token is ever learned: they teach what to do with words that have no embedding."""

_FORMS = ("precise", "shape", "pattern", "generic", "strange", "stacked")
_FORM_SHARES = (0.50, 0.12, 0.10, 0.10, 0.03, 0.15)
_COLOUR_SHARE = 0.2
_ENSEMBLE_SHARE = 0.7  # of states and templates, taken from the prompt ensemble that towers are tested with
_KIND_SHARE = 0.25

_JOINERS = (" ", " ", ", ", " and ")

_NORMAL = (
    "good {}",
    "undamaged {}",
    "clean {}",
    "{} in good condition",
    "{} as it should be",
    "{} that passes inspection",
)
_ANOMALOUS = (
    "defective {}",
    "faulty {}",
    "bad {}",
    "{} in bad condition",
    "{} with an anomaly",
    "{} that fails inspection",
    "{} with damage",
)
_TEMPLATES = ("{}", "a {}", "the {}", "a picture of a {}.", "an image of the {}.", "a photograph of one {}.")
_NAMED = ("{} with a {kind}", "{kind} on a {}", "{} damaged by a {kind}")
_ENSEMBLE_NORMAL = tuple(state for state in CPE.normal if state != "{}")  # the bare name says nothing of the state


@dataclass(frozen=True, slots=True)
class Caption:
    """A phrase and what it claims: any of several (pattern, shape), colour, state and kind, as indices or ANY."""

    phrase: str
    names: tuple[tuple[int, int], ...]
    colour: int = ANY
    state: int = ANY
    kind: int = ANY


@dataclass(frozen=True, slots=True)
class Captions:
    """Three captions for each pair: of the good picture, its twin with the state flipped, and one without a state."""

    normal: tuple[Caption, ...]
    anomalous: tuple[Caption, ...]
    stateless: tuple[Caption, ...]

    @property
    def all(self) -> tuple[Caption, ...]:
        """All of them: first the normal ones, then their twins, then those without a state."""
        return (*self.normal, *self.anomalous, *self.stateless)


def draw_captions(labels: NDArray[np.uint8], draws: np.random.Generator) -> Captions:
    """Captions for pairs with labels (N, 4)."""
    normal, anomalous, stateless = [], [], []
    for pattern, shape, colour, kind in labels.astype(int).tolist():
        template = _template(draws)
        name, names, said = _name(pattern, shape, colour, draws)
        good, bad, told = _states(kind, draws)
        normal.append(Caption(template.format(good.format(name)), names, said, NORMAL))
        anomalous.append(Caption(template.format(bad.format(name)), names, said, ANOMALOUS, told))
        name, names, said = _name(pattern, shape, colour, draws)
        stateless.append(Caption(_template(draws).format(name), names, said))
    return Captions(tuple(normal), tuple(anomalous), tuple(stateless))


def fits(captions: Iterable[Caption], labels: NDArray[np.uint8], states: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which caption (M) is true of which picture (N): (N, M).

    `labels` (N, 4) are the pictures', `states` (N,) whether a defect is to be seen; only then its kind is.
    """
    pattern, shape, colour, kind = labels.astype(np.int64).T
    columns = []
    for caption in captions:
        true = np.zeros(len(labels), bool)
        for one, other in caption.names:
            true |= ((pattern == one) | (one == ANY)) & ((shape == other) | (other == ANY))
        if caption.colour != ANY:
            true &= colour == caption.colour
        if caption.state != ANY:
            true &= states == (caption.state == ANOMALOUS)
        if caption.kind != ANY:
            true &= kind == caption.kind
        columns.append(true)
    return np.stack(columns, axis=1)


def all_phrases() -> tuple[str, ...]:
    """Phrases that together hold every word that is learned."""
    states = (*CPE.normal, *CPE.anomalous, *_NORMAL, *_ANOMALOUS, *(text.replace("{kind}", "") for text in _NAMED))
    words = (*_GENERIC, *(word.replace("-", " ") for names in NAMES for word in names))
    return (*(text.format("") for text in (*CPE.templates, *_TEMPLATES, *states)), *words, ",", "and")


def _name(
    pattern: int, shape: int, colour: int, draws: np.random.Generator
) -> tuple[str, tuple[tuple[int, int], ...], int]:
    form = _FORMS[draws.choice(len(_FORMS), p=_FORM_SHARES)]
    if pattern == UNKNOWN and form in ("precise", "pattern", "stacked"):
        form = "shape" if form == "precise" else "generic"
    said = colour if draws.random() < _COLOUR_SHARE and form != "stacked" and colour != UNKNOWN else ANY
    prefix = f"{_COLOURS[said]} " if said != ANY else ""
    if form == "precise":
        return f"{prefix}{_PATTERNS[pattern]} {_SHAPES[shape]}", ((pattern, shape),), said
    if form == "shape":
        return f"{prefix}{_SHAPES[shape]}", ((ANY, shape),), said
    if form == "pattern":
        return f"{prefix}{_PATTERNS[pattern]} {_one(_GENERIC[:3], draws)}", ((pattern, ANY),), said
    if form == "stacked":
        names = [(pattern, shape)]
        for _ in range(int(draws.integers(1, 4))):
            names.append((int(draws.integers(len(_PATTERNS))), int(draws.choice(_KNOWN_SHAPES))))
        order = draws.permutation(len(names))
        listed = (f"{_PATTERNS[names[i][0]]} {_SHAPES[names[i][1]]}" for i in order)
        return _one(_JOINERS, draws).join(listed), tuple(names), ANY
    return f"{prefix}{_one(_GENERIC if form == 'generic' else _STRANGE, draws)}", ((ANY, ANY),), said


def _states(kind: int, draws: np.random.Generator) -> tuple[str, str, int]:
    ensemble = draws.random() < _ENSEMBLE_SHARE
    good = _one(_ENSEMBLE_NORMAL if ensemble else _NORMAL, draws)
    if not ensemble and draws.random() < _KIND_SHARE / (1 - _ENSEMBLE_SHARE) and kind != UNKNOWN:
        return good, _one(_NAMED, draws).replace("{kind}", _KINDS[kind].replace("-", " ")), kind
    return good, _one(CPE.anomalous if ensemble else _ANOMALOUS, draws), ANY


def _template(draws: np.random.Generator) -> str:
    return _one(CPE.templates if draws.random() < _ENSEMBLE_SHARE else _TEMPLATES, draws)


def _one(texts: tuple[str, ...], draws: np.random.Generator) -> str:
    return texts[draws.integers(len(texts))]


_KNOWN_SHAPES = tuple(index for index, shape in enumerate(_SHAPES) if shape not in ("gear", "cable"))
