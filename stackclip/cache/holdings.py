"""What a store has of samples: which content a sample's files have, and where the parts of that content are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from itertools import compress
from pathlib import Path

from stackclip.cache.check import Problem
from stackclip.cache.header import Header
from stackclip.cache.index import Index
from stackclip.cache.lookout import Lookout, in_hex
from stackclip.cache.reader import Place
from stackclip.cache.readings import readings_of
from stackclip.cache.refusals import telling_how_to_mend
from stackclip.cache.shapes import MASK_NEAREST
from stackclip.cache.sources import Role, Source, has_source, home_of, recorded_key, role_of
from stackclip.errors import MissingParts
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
        self._lookout = Lookout(self._readings, self._index)

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
        """See what other processes committed, or dropped, since the store was opened; `one_look` begins anew."""
        self._lookout.look_again()
        self._index.refresh()

    def one_look(self) -> AbstractContextManager[None]:
        """Within, `digests`, `holdings` and `lacking` of this thread look at each file once, until `look_again`.

        A file that is replaced meanwhile is the old one to them. What is encoded or read is looked at anew all the
        same: rows come from the content that a file has then.
        """
        return self._lookout.once()

    def look_again(self) -> None:
        """See within `one_look` what became of files since then."""
        self._lookout.look_again()

    def source(self, sample: Sample, part: Part = CLS) -> Source:
        """Name the content of the sample's picture (or of its mask, for a mask part).

        It is read and hashed, unless it was before and a look at the file tells that it is the same (see `Readings`).
        Raises PictureError for a file that cannot be read.
        """
        role = role_of(part)
        home = home_of(sample, role)
        digest, stamps = self._lookout.source(home, role)
        return Source(recorded_key(sample), role, home, digest, stamps)

    def keep_readings(self) -> None:
        """Write down which files were found to be what the store holds, and what is where in it, for later processes.

        What cannot be written they see for themselves.
        """
        self._readings.keep(lambda digest: digest in self._index)
        self._index.keep()

    def held(self, source: Source) -> frozenset[Part]:
        """The parts of this content that can be read."""
        return self._index.held(source.digest)

    def digests(self, samples: Sequence[Sample], part: Part = CLS) -> list[str | None]:
        """What `source` names the content of each sample's picture, or mask; None for one that cannot be read."""
        return in_hex(self._lookout.planned(*_homes(samples, part), hopeless=True))

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
        return self._index.held_of(self._lookout.planned(*_homes(samples, part)))

    def _contents_to_read(self, samples: Sequence[Sample], part: Part) -> list[str | None]:
        """The digest of each sample's content, None where the store cannot hold it. Raises PictureError."""
        role = role_of(part)
        return in_hex(self._lookout.to_read([home_of(sample, role) for sample in samples], role))

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


def _homes(samples: Sequence[Sample], part: Part) -> tuple[list[Path | None], Role]:
    """Where the files are that a part is made from, None for a mask that there is not."""
    role = role_of(part)
    return [sample.image if role == "picture" else sample.mask for sample in samples], role
