"""What a store has of samples: which content a sample's files have, and where the parts of that content are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from stackclip.cache.check import Problem
from stackclip.cache.header import Header
from stackclip.cache.index import Index
from stackclip.cache.reader import Place
from stackclip.cache.readings import readings_of
from stackclip.cache.refusals import telling_how_to_mend
from stackclip.cache.shapes import MASK_NEAREST
from stackclip.cache.sources import Source, has_source, home_of, read_again, recorded_key, role_of, stamps_of, state_of
from stackclip.errors import MissingParts, PictureError
from stackclip.ops.words import agreed
from stackclip.types import CLS, MASK, Part, Sample

__all__ = ["Holdings"]

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
        role = role_of(part)
        home = home_of(sample, role)
        files = state_of(home, role)
        digest = self._readings.digest(home, role, files)
        if digest is None:
            reading = read_again(home, role)
            self._readings.add(home, role, reading)
            digest, files = reading.digest, reading.files
        return Source(recorded_key(sample), role, home, digest, stamps_of(files))

    def keep_readings(self) -> None:
        """Write down which files were found to be what the store holds, so that no later process has to read them.

        Where that cannot be written they are read again some day.
        """
        self._readings.keep(lambda digest: digest in self._index)

    def holds(self, source: Source, part: Part) -> bool:
        """Whether the part of this content can be read."""
        return self._index.holds(source.digest, part)

    def holdings(self, samples: Iterable[Sample]) -> list[frozenset[Part]]:
        """The parts that can be read for each sample.

        A sample without a mask file has its mask parts by definition: no runs. A picture that cannot be read has none.
        """
        return [self._held_of(sample) for sample in samples]

    def lacking(self, samples: Iterable[Sample], parts: Iterable[Part]) -> tuple[tuple[Sample, frozenset[Part]], ...]:
        """The samples that lack some of the parts, each with those that it lacks."""
        wanted = frozenset(parts)
        lacks = ((sample, wanted - self._held_of(sample)) for sample in samples)
        return tuple((sample, missing) for sample, missing in lacks if missing)

    def _held_of(self, sample: Sample) -> frozenset[Part]:
        held = self._held_by_source(sample, CLS)
        return held | (self._held_by_source(sample, MASK) if has_source(sample, "mask") else _MASK_PARTS)

    def _held_by_source(self, sample: Sample, part: Part) -> frozenset[Part]:
        with suppress(PictureError):  # it is told when the picture is encoded or read
            return self._index.held(self._digest(sample, part))
        return frozenset()

    def _digest(self, sample: Sample, part: Part) -> str | None:
        """The digest of the sample's content, or None where it cannot be in the store."""
        role = role_of(part)
        home = home_of(sample, role)
        files = state_of(home, role)
        digest = self._readings.digest(home, role, files)
        if digest is None and self._index.may_hold(files):
            digest = self.source(sample, part).digest
        return digest

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
