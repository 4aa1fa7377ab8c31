"""A workspace and a tower at work in it: its features are read from there and written there."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from stackclip.benchmarks.entrant import Entrant, Errand
from stackclip.benchmarks.plan import Plan
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.runner import Bench, unheard
from stackclip.cache import Extracted, ExtractOptions, Planned, Store, TextCache, extract, find_store, plan
from stackclip.clip import TextEncoder, Tower
from stackclip.clip.known import KnownTower
from stackclip.clip.recipe import PLAIN_TRAINING, LiveTraining, TowerRecipe
from stackclip.data.darkness import unused_range
from stackclip.errors import MissingParts
from stackclip.ops.progress import Listener, silent
from stackclip.ops.tiling import parts_in_words
from stackclip.ops.typed import typed_again
from stackclip.ops.words import agreed, counted
from stackclip.session.recipe import words_of
from stackclip.session.work import Encoded, together
from stackclip.training.residency import Resident
from stackclip.types import Part, Row, Sample
from stackclip.workspace import Workspace

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite
    from stackclip.benchmarks.seeds import CellName

__all__ = ["Workbench"]

logger = logging.getLogger("stackclip")
NOTHING: Mapping[CellName, Row | str] = MappingProxyType({})


class EncodeHow(TypedDict, total=False):
    """How pictures are encoded, as keywords of `Workbench.extracted`."""

    strict: bool
    patience: float
    progress: Listener


@dataclass(frozen=True)
class Workbench:
    """Where features of one tower are, and how they are made and read: `batch_size` pictures, `workers` threads.

    `resident` says where features stay that are read again, `live` how what trains inside a tower runs there.
    """

    workspace: Workspace
    recipe: TowerRecipe
    known: KnownTower
    batch_size: int
    workers: int
    resident: Resident
    live: LiveTraining = PLAIN_TRAINING

    @property
    def tower(self) -> Tower:
        """The tower; its model is built when it is first used."""
        return self.known.tower

    def store(self) -> Store:
        """The store of the tower's features, made where there is none; what is known of the tower is kept too."""
        self.known.keep()
        tower, dtype = self.tower, self.workspace.feature_dtype
        folder = self.workspace.features
        return Store.create(folder, tower.fingerprint, spec=tower.spec, recorded=tower.recorded, dtype=dtype)

    def found(self) -> Store | None:
        """The store of the tower's features, if there is one; nothing is written."""
        return find_store(self.workspace.features, self.tower.fingerprint, dtype=self.workspace.feature_dtype)

    def planned(self, errands: Sequence[Errand], store: Store | None) -> Planned:
        """What would be encoded into the store that was `found`; nothing is written."""
        spec, dtype = self.tower.spec, self.workspace.feature_dtype
        every = [plan(store, each.samples, each.parts, spec, dtype=dtype) for each in errands]
        parts = frozenset(part for each in every for part in each.parts)
        return Planned(sum(each.pictures for each in every), tuple(sorted(parts)), sum(each.bytes for each in every))

    def lacking(self, store: Store, errands: Sequence[Errand]) -> list[Errand]:
        """Those of the errands of whose pictures the store lacks parts."""
        lacking = [each for each in errands if store.lacking(each.samples, each.parts)]
        store.keep_readings()
        return lacking

    def encode(self, store: Store, errands: Sequence[Errand], **how: Unpack[EncodeHow]) -> Encoded:
        """Encode what the store lacks, and say so. Raises as `extracted` does."""
        return self.said(store, self.extracted(store, errands, **how))

    def extracted(
        self,
        store: Store,
        errands: Sequence[Errand],
        *,
        strict: bool = False,
        patience: float = 0.0,
        progress: Listener = silent,
    ) -> Extracted:
        """Encode what the store lacks; one who repairs it is waited for as many seconds as `patience` says.

        Raises what `extract` raises, PictureError for the first picture that cannot be used only if `strict`.
        """
        if self.tower.picture_range == "auto" and (
            dark := unused_range([sample for each in errands for sample in each.samples])
        ):
            logger.warning("%s", dark)
        how: ExtractOptions = {"batch_size": self.batch_size, "workers": self.workers, "strict": strict}
        how |= {"progress": partial(progress, "encode"), "patience": patience}
        before = _there(store, errands)
        done = together([extract(store, self.tower, each.samples, each.parts, **how) for each in errands])
        return done if before is None else replace(done, already_there=before)

    def said(self, store: Store, done: Extracted, *, noted: bool = True) -> Encoded:
        """Say what was encoded, which pictures could not be, and, unless that is said elsewhere, the tower's note."""
        store.refresh()
        for failure in done.failed:
            logger.error("failed: %s", failure)
        encoded = Encoded(done, len(store), store.size_bytes)
        logger.info("%s", encoded)
        if noted:
            self.say_note()
        return encoded

    def missing_parts(
        self,
        entrants: Iterable[Entrant],
        lacking: Sequence[tuple[Sample, frozenset[Part]]],
        texts: Mapping[str, str],
        data_root: Path | None,
        tiles: str | None = None,
    ) -> MissingParts:
        """The error of a bench that may not encode, with the command that does; `texts` are the data sets as typed."""
        missing = frozenset[Part]().union(*(parts for _, parts in lacking))
        reading = [each.spec for each in entrants if not each.why_not and each.parts & missing]
        datasets = dict.fromkeys(sample.dataset for sample, _ in lacking)
        words = self.workspace.command("cache-features")
        words += [word for name in datasets for word in ("--dataset", typed_again([texts[name]]))]
        words += [] if {sample.split for sample, _ in lacking} == {"test"} else ["--split", "all"]
        words += ["--methods", ",".join(reading)] if reading else []
        words += ["--tiles", tiles] if tiles else []
        words += ["--data-root", str(data_root)] if data_root else []
        words += words_of(self.recipe)
        dtype = self.workspace.feature_dtype
        words += ["--feature-dtype", dtype] if dtype != "float16" else []
        found = f"{counted(len(lacking), 'picture')} {agreed('lack', len(lacking))} {parts_in_words(missing)}"
        return MissingParts(f"{', '.join(datasets)}: {found}. Run: {shlex.join(words)}")

    def say_note(self) -> None:
        """Say what the tower has to have said of it."""
        if self.tower.spec.note:
            logger.info("note: %s", self.tower.spec.note)

    @contextmanager
    def bench(
        self,
        plan: Plan,
        entrants: tuple[Entrant, ...],
        store: Store,
        *,
        overwrite: Overwrite = "only-missing",
        progress: Listener = silent,
        failed: Mapping[CellName, Row | str] = NOTHING,
        told: Callable[[Row], None] = unheard,
    ) -> Iterator[Bench]:
        """A bench on the store; what it came to know of the pictures' files is kept, unless it may write nothing."""
        how: dict[str, Any] = {"overwrite": overwrite, "progress": progress, "failed": failed, "told": told}
        yield self.bench_on(store, plan, entrants, **how)
        if overwrite != "never":
            store.keep_readings()

    def bench_on(
        self,
        store: Store,
        plan: Plan,
        entrants: tuple[Entrant, ...],
        *,
        overwrite: Overwrite = "only-missing",
        progress: Listener = silent,
        failed: Mapping[CellName, Row | str] = NOTHING,
        told: Callable[[Row], None] = unheard,
    ) -> Bench:
        """A bench on the store, in the workspace."""
        workspace, tower = self.workspace, self.tower
        encode = TextEncoder(tower, TextCache(workspace.text, tower.text_fingerprint))
        rows, heads = RowFolder(workspace.rows), workspace.heads
        how: dict[str, Any] = {"resident": self.resident, "live": self.live, "failed": failed, "told": told}
        return Bench(plan, tower, encode, store, rows, heads, progress, overwrite, entrants=entrants, **how)


def _there(store: Store, errands: Sequence[Errand]) -> int | None:
    """Of pictures of several errands how many the store lacks nothing of, each once; None where there are none."""
    every = frozenset(sample for each in errands for sample in each.samples)
    if len(every) == sum(len(each.samples) for each in errands):
        return None
    return len(every - {sample for each in errands for sample, _ in store.lacking(each.samples, each.parts)})
