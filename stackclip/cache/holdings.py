"""What a store has of samples: which content a sample's files have, and where the parts of that content are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar

from stackclip.cache.check import Problem
from stackclip.cache.header import Header
from stackclip.cache.index import Index
from stackclip.cache.reader import Place
from stackclip.cache.readings import Look, readings_of
from stackclip.cache.refusals import telling_how_to_mend
from stackclip.cache.shapes import MASK_NEAREST
from stackclip.cache.sources import (
    Role,
    Source,
    has_source,
    home_of,
    read_again,
    recorded_key,
    role_of,
    stamps_of,
    state_of,
)
from stackclip.errors import MissingParts, PictureError
from stackclip.ops.words import agreed
from stackclip.types import CLS, MASK, Part, Sample

__all__ = ["Holdings"]

Result = TypeVar("Result")

_MASK_PARTS = frozenset({MASK, MASK_NEAREST})


class Holdings:
    """The parts of samples that a store has, by the content of their files, wherever these lie."""

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder = folder
        self._index = Index(folder, header)
        self._readings = readings_of(folder)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The files that failed when they were opened; `verify` looks deeper."""
        return self._index.problems

    @property
    def size_bytes(self) -> int:
        """The bytes of the segments that serve."""
        return self._index.size_bytes

    @property
    def parts(self) -> frozenset[Part]:
        """Every part that some record has."""
        return self._index.parts

    def __len__(self) -> int:
        """How many different pictures there are features of."""
        return len(self._index)

    def refresh(self) -> None:
        """See what other processes committed, or dropped, since the store was opened."""
        self._index.refresh()

    def source(self, sample: Sample, part: Part = CLS) -> Source:
        """Name the content of the sample's picture (or of its mask, for a mask part).

        It is read and hashed, unless it was before and a look at the file tells that it is the same (see `Readings`).
        Raises PictureError for a file that cannot be read.
        """
        home, role, files = look = _look(sample, role_of(part))
        [digest] = self._readings.digests([look])
        if digest is None:
            reading = read_again(home, role)
            self._readings.add(home, role, reading)
            digest, files = reading.digest, reading.files
        return Source(recorded_key(sample), role, home, digest, stamps_of(files))

    def keep_readings(self) -> None:
        """Write down which files were found to be what the store holds, and what is where in it, for later processes.

        What cannot be written they see for themselves.
        """
        self._readings.keep(lambda digest: digest in self._index)
        self._index.keep()

    def holds(self, source: Source, part: Part) -> bool:
        """Whether the part of this content can be read."""
        return self._index.holds(source.digest, part)

    def digests(self, samples: Sequence[Sample], part: Part = CLS) -> list[str | None]:
        """What `source` names the content of each sample's picture, or mask; None for one that cannot be read."""
        return self._contents(_looks(samples, part), _or_none(self._read))

    def holdings(self, samples: Iterable[Sample]) -> list[frozenset[Part]]:
        """The parts that can be read for each sample.

        A sample without a mask file has its mask parts by definition: no runs. A picture that cannot be read has none.
        """
        every = list(samples)
        masked = [has_source(sample, "mask") for sample in every]
        of_masks = iter(self._held_of(list(compress(every, masked)), MASK))
        joined = cache(frozenset[Part].union)
        return [
            joined(held, next(of_masks) if has_mask else _MASK_PARTS)
            for held, has_mask in zip(self._held_of(every, CLS), masked, strict=True)
        ]

    def lacking(self, samples: Iterable[Sample], parts: Iterable[Part]) -> tuple[tuple[Sample, frozenset[Part]], ...]:
        """The samples that lack some of the parts, each with those that it lacks."""
        lacking, every = cache(frozenset(parts).difference), list(samples)
        lacks = zip(every, map(lacking, self.holdings(every)), strict=True)
        return tuple((sample, missing) for sample, missing in lacks if missing)

    def _held_of(self, samples: Sequence[Sample], part: Part) -> list[frozenset[Part]]:
        return self._index.held_of(self._contents(_looks(samples, part), _or_none(self._read_what_may_be_held)))

    def _contents_to_read(self, samples: Sequence[Sample], part: Part) -> list[str | None]:
        """The digest of each sample's content, None where the store cannot hold it. Raises PictureError."""
        return self._contents([_look(sample, role_of(part)) for sample in samples], self._read_what_may_be_held)

    def _contents(self, looks: Sequence[Look | None], read: Callable[[Look], str | None]) -> list[str | None]:
        """The digests of sources; what has to be read for it is."""
        known = iter(self._readings.digests([look for look in looks if look is not None]))
        return [None if look is None else next(known) or read(look) for look in looks]

    def _read_what_may_be_held(self, look: Look) -> str | None:
        return self._read(look) if self._index.may_hold(look.files) else None

    def _read(self, look: Look) -> str:
        reading = read_again(look.home, look.role)
        self._readings.add(look.home, look.role, reading)
        return reading.digest

    def _locate(self, samples: Sequence[Sample], part: Part, digests: Sequence[str | None]) -> list[Place]:
        """Where the part of each sample is, whose content has these digests.

        Raises MissingParts where the store lacks it, and what is wrong with a segment that has it.
        """
        places, missing = [], []
        for sample, digest in zip(samples, digests, strict=True):
            place = self._index.place(digest, part)
            if place is not None:
                places.append(place)
            elif (damage := self._index.damage(digest, part)) is not None:
                with telling_how_to_mend(self.folder):
                    raise type(damage)(f"{damage}; it holds {part} of {sample.key}")
            else:
                missing.append(sample)
        if missing:
            raise self._missing(part, missing, len(samples))
        return places

    def _missing(self, part: Part, missing: Sequence[Sample], of: int) -> MissingParts:
        count, first = len(self.problems), missing[0]
        problems = f" ({count} of its segments {agreed('are', count)} damaged or withheld)" if count else ""
        return MissingParts(
            f"{self.folder.name}{problems} lacks {part} of {len(missing)} of {of} pictures, {first.key} among them. "
            f"Run: stackclip cache-features --dataset {first.dataset}, with --methods that read it"
        )


def _look(sample: Sample, role: Role) -> Look:
    """Look at a sample's picture or mask; raises PictureError."""
    home = home_of(sample, role)
    return Look(home, role, state_of(home, role))


def _looks(samples: Iterable[Sample], part: Part) -> list[Look | None]:
    """The same of many; None for what cannot be looked at, which is told when it is encoded or read."""
    role, look = role_of(part), _or_none(_look)
    return [look(sample, role) for sample in samples]


def _or_none(function: Callable[..., Result]) -> Callable[..., Result | None]:
    """What gives None for a picture that cannot be read."""

    def lenient(*given: Any) -> Result | None:
        try:
            return function(*given)
        except PictureError:
            return None

    return lenient
