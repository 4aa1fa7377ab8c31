"""The compositional prompt ensemble (CPE): every state of a subject in every template.

Prompt = [State] [Cls] [State] (FuzzyCLIP, equation 1). The structure is APRIL-GAN's, 7 normal and 5 anomalous states in
35 templates: 245 and 175 phrases. The words are our own; see docs/decisions/0005.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from stackclip.errors import BrokenPlugin, UsageError
from stackclip.ops.given import subject_of
from stackclip.prompts.strategy import Encode, Strategy
from stackclip.types import ANOMALOUS, NORMAL

__all__ = ["CPE", "OVERFLOWS", "Ensemble", "Overflow", "joint_subjects", "subjects_of"]

Overflow = Literal["error", "truncate-names", "chunk-mean"]
"""What becomes of a stack whose names do not fit the text tower's context."""

OVERFLOWS: tuple[Overflow, ...] = get_args(Overflow)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """States with one slot for the subject, and templates with one slot for the state; slots are written `{}`."""

    normal: tuple[str, ...]
    anomalous: tuple[str, ...]
    templates: tuple[str, ...]

    def phrases(self, subject: str, side: int) -> tuple[str, ...]:
        """All phrases of a subject that is NORMAL or ANOMALOUS, templates running fastest."""
        states = {NORMAL: self.normal, ANOMALOUS: self.anomalous}[side]
        return tuple(template.format(state.format(subject)) for state in states for template in self.templates)

    def longest(self, subject: str, count_tokens: Callable[[str], int]) -> int:
        """The tokens of the longest phrase of a subject."""
        states = max((state.format(subject) for state in self.normal + self.anomalous), key=count_tokens)
        return max(count_tokens(template.format(states)) for template in self.templates)


CPE = Ensemble(
    normal=(
        "{}",
        "flawless {}",
        "perfect {}",
        "intact {}",
        "{} without any flaw",
        "{} without any defect",
        "{} without any damage",
    ),
    anomalous=(
        "damaged {}",
        "broken {}",
        "{} with a flaw",
        "{} with a defect",
        "{} with some damage",
    ),
    templates=(
        "a photo of a {}.",
        "a photo of the {}.",
        "a photo of my {}.",
        "a photo of one {}.",
        "a good photo of a {}.",
        "a good photo of the {}.",
        "a bad photo of a {}.",
        "a bad photo of the {}.",
        "a close-up photo of a {}.",
        "a close-up photo of the {}.",
        "a cropped photo of a {}.",
        "a cropped photo of the {}.",
        "a bright photo of a {}.",
        "a bright photo of the {}.",
        "a dark photo of a {}.",
        "a dark photo of the {}.",
        "a blurry photo of a {}.",
        "a blurry photo of the {}.",
        "a sharp photo of a {}.",
        "a sharp photo of the {}.",
        "a low resolution photo of a {}.",
        "a low resolution photo of the {}.",
        "a black and white photo of a {}.",
        "a black and white photo of the {}.",
        "a jpeg picture of a {}.",
        "a jpeg picture of the {}.",
        "a photo of a small {}.",
        "a photo of the small {}.",
        "a photo of a large {}.",
        "a photo of the large {}.",
        "a photo of a {} for inspection.",
        "a photo of the {} for inspection.",
        "there is a {} in the picture.",
        "this is a {} in the picture.",
        "this is one {} on the production line.",
    ),
)


def subjects_of(
    strategy: Strategy,
    category: str,
    stack: tuple[str, ...],
    *,
    seen: bool,
    fits: Callable[[str], bool],
) -> tuple[str, ...]:
    """The subjects whose ensembles are averaged into one anchor: one, unless a stack is cut into chunks.

    A stack of many names can outgrow CLIP's context. What happens then is the strategy's `overflow`: `error` raises
    UsageError; `truncate-names` leaves out whole names from the end until it fits; `chunk-mean` cuts the stack
    into consecutive pieces that fit. The end-of-text token is never cut.
    """

    def name(names: tuple[str, ...]) -> str:
        return subject_of(category, strategy.subject(category, names, seen=seen))

    whole = name(stack)
    if fits(whole):
        return (whole,)
    overflow = getattr(strategy, "overflow", "error")
    if overflow not in OVERFLOWS:
        raise BrokenPlugin(f"its overflow is {overflow!r}; wanted {', '.join(OVERFLOWS)}")
    if overflow == "error":
        raise UsageError(
            f"the subject {_shorten(whole)!r} of {len(stack)} names does not fit the text tower's context; "
            "use the option overflow=truncate-names or overflow=chunk-mean, or more clusters"
        )
    pieces, rest = [], stack
    while rest:
        length = next((length for length in range(len(rest), 0, -1) if fits(name(rest[:length]))), 0)
        if not length:
            raise UsageError(f"the name {_shorten(name(rest[:1]))!r} alone does not fit the text tower's context")
        pieces.append(name(rest[:length]))
        if overflow == "truncate-names":
            break
        rest = rest[length:]
    return tuple(pieces)


def joint_subjects(
    strategy: Strategy, names: tuple[str, ...], *, overflow: str, fits: Callable[[str], bool]
) -> tuple[str, ...]:
    """The subject of all training categories together, in pieces if `overflow` says so.

    It is what the strategy calls a stack of them all; the names that it keeps apart are joined by spaces. FuzzyCLIP,
    equation 3. Raises UsageError as `subjects_of` does.
    """
    return subjects_of(_Joint(strategy, overflow), names[0], names, seen=True, fits=fits)


@dataclass(frozen=True, slots=True)
class _Joint:
    """A strategy, with one subject for a whole stack."""

    strategy: Strategy
    overflow: str

    def stacks(self, categories: tuple[str, ...], encode: Encode) -> tuple[tuple[str, ...], ...]:
        return (categories,)

    def subject(self, category: str, stack: tuple[str, ...], *, seen: bool) -> str:
        return " ".join(dict.fromkeys(self.strategy.subject(name, stack, seen=seen) for name in stack))


def _shorten(text: str, length: int = 60) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
