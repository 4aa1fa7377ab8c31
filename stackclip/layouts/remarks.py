"""What a person should know of annotations that were read: what counts, what does not, and the words that change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stackclip.layouts.drawings import DrawnPicture
from stackclip.ops.words import agreed, counted, few_of

__all__ = ["Remarks"]


@dataclass
class Remarks:
    """The pictures of which something is to be said, by what it is."""

    root: Path
    absent: list[DrawnPicture] = field(default_factory=list)
    boxes: list[Path] = field(default_factory=list)
    strokes: list[Path] = field(default_factory=list)
    in_good: list[Path] = field(default_factory=list)
    unannotated: list[Path] = field(default_factory=list)
    other_size: list[Path] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def first_absent(self) -> str:
        """What the files call the first picture that is not there."""
        return self.absent[0].said if self.absent else "nothing is named"

    def lines(self) -> tuple[str, ...]:
        """A line for each thing to be said."""
        return (*self._lines(), *dict.fromkeys(self.others))

    def _lines(self) -> Iterator[str]:
        yield from _line([each.said for each in self.absent], "of the annotations {} not there ({}): left out", "are")
        for paths, words, verb in (
            (self.unannotated, "{} no annotation ({}): unlabelled; unannotated=good takes them for good", "have"),
            (self.boxes, "{} boxes, no outlines ({}): not localised; boxes=mask takes them for masks", "have"),
            (self.strokes, "{} lines or points, which have no area ({}): not localised", "have"),
            (self.in_good, "{} in a folder of good ones and annotated with a defect ({}): defective", "are"),
            (self.other_size, "{} annotated at another size ({}): refused where masks are read", "are"),
        ):
            yield from _line([path.relative_to(self.root).as_posix() for path in paths], words, verb)


def _line(names: list[str], words: str, verb: str) -> Iterator[str]:
    if names:
        number = len(names)
        said = words.format(agreed(verb, number), few_of(names))
        yield f"{counted(number, 'picture')} {said}"
