"""A small bench that faults happen to, and its judge; run as a script, it serves as victim.py does."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache as remember
from pathlib import Path
from typing import Any

import torch
import victim

from stackclip.benchmarks.plan import Plan
from stackclip.benchmarks.rows import RowFolder, TestedAt, row_to_json
from stackclip.benchmarks.runner import Bench, Outcome
from stackclip.cache import Store, extract
from stackclip.clip import TextEncoder, Tower, random_tower
from stackclip.data import open_dataset
from stackclip.errors import StackclipError
from stackclip.heads import load_head
from stackclip.ops.files import canonical_json
from stackclip.types import CLS, MASK, Row

DATA = "categories=2,per_category=4,train_good=1,size=56"


class TellingRows(RowFolder):
    """Rows that say in a file what was kept, as soon as they know it themselves."""

    told: Path

    def write(self, cell: str, row: Row, *seen: TestedAt) -> None:
        super().write(cell, row, *seen)
        descriptor = os.open(self.told, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(descriptor, f"{cell}\n".encode())
        os.close(descriptor)


@dataclass(frozen=True)
class Ground:
    """What every bench reads, and no fault reaches: plan, tower, features, and what an undisturbed bench kept."""

    plan: Plan
    tower: Tower
    encode: TextEncoder
    store: Store
    rows: Mapping[str, Row]
    heads: Mapping[str, Mapping[str, torch.Tensor]]

    def bench(self, root: Path, told: Path) -> Outcome:
        """Bench into rows and heads below `root`."""
        TellingRows.told = told
        rows = TellingRows(root / "rows")
        return Bench(self.plan, self.tower, self.encode, self.store, rows, root / "heads", resident="off").run()


@remember
def ground(folder: Path) -> Ground:
    """Draw pictures, encode them, and bench once without a fault."""
    names = [f"synthetic[part={part},{DATA}]" for part in ("training", "shapes")]
    trained, tested = (open_dataset(name, generated=folder) for name in names)
    tower = random_tower(image_size=56)
    store = Store.create(folder / "features", tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    extract(store, tower, [*trained, *tested], {CLS, MASK, *tower.spec.taps}, workers=1)
    plan = Plan(methods=("clip", "fuzzy"), train_on=(trained,), test_on=(tested,), epochs=1)
    made = Ground(plan, tower, TextEncoder(tower), store, {}, {})
    whole = folder / "whole"
    assert not made.bench(whole, folder / "told").unkept
    rows = {entry.cell: timeless(entry.row) for entry in RowFolder(whole / "rows").entries()}
    assert len(rows) == 4
    return replace(made, rows=rows, heads=heads_in(whole, store.digest))


def timeless(row: Row) -> Row:
    """A row but for how long things took."""
    return replace(row, seconds=0, facts={**row.facts, "train_seconds": 0})


def as_text(row: Row) -> bytes:
    """One byte string for equal rows."""
    return canonical_json(row_to_json(row))


def heads_in(root: Path, fingerprint: str) -> dict[str, Mapping[str, torch.Tensor]]:
    """The tensors of each head by its file's name; raises what `load_head` raises."""
    paths = sorted((root / "heads").glob("[!.]*"))
    return {path.name: load_head(path, fingerprint=fingerprint).tensors for path in paths}


def bench(root: Path, pictures: Path, told: Path) -> dict[str, Any]:
    """The run; what it says of itself."""
    outcome = ground(pictures).bench(root, told)
    expected, found = ground(pictures).rows.values(), map(timeless, outcome.rows)
    right = sorted(map(as_text, expected)) == sorted(map(as_text, found))
    return {"unkept": outcome.unkept, "computed": outcome.computed, "right": right}


def judge(root: Path, pictures: Path, told: Path) -> dict[str, Any]:
    """What is left of a bench after a fault, before and after it is run again; see `victim.judge`."""
    made, why = ground(pictures), []
    promised = set(told.read_text().split()) if told.exists() else set()
    entries = RowFolder(root / "rows").entries(aloud=False)
    kept = {entry.cell: timeless(entry.row) for entry in entries}
    silent = sum(cell not in made.rows or as_text(made.rows[cell]) != as_text(row) for cell, row in kept.items())
    whole = len(kept) == len(list((root / "rows").glob("[!.]*")))
    try:
        heads = heads_in(root, made.store.digest)
        silent += sum(not _equal(made.heads.get(name, {}), tensors) for name, tensors in heads.items())
    except StackclipError as error:
        whole = False
        why.append(str(error))
    verdict = {"acknowledged": len(promised), "lost": len(promised - kept.keys()), "silent": silent, "whole": whole}
    again = bench(root, pictures, told.with_name("told-later"))
    names = {path.name for place in ("rows", "heads") for path in (root / place).glob("*")}
    needed = {f"{cell}.json" for cell in made.rows}
    wanted = needed | made.heads.keys()
    if any(made.rows[cell].method == "fuzzy" for cell in made.rows.keys() - kept.keys()):
        needed = wanted  # a head that could not be kept is trained again only for a row that lacks
    resumed = again == {"unkept": 0, "computed": len(made.rows) - len(kept), "right": True}
    resumed = resumed and needed <= names <= wanted
    why += [] if resumed else [f"running again: {again}, left over or lacking: {sorted(names ^ wanted)}"]
    why += [] if whole and not silent else [f"kept {sorted(kept)}"]
    return {**verdict, "resumed": resumed, "why": why}


def _equal(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


victim.TASKS.update({"bench": bench, "judge": judge})


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:  # what is loaded and made on first use is so before the first child
        judge(Path(folder, "root"), Path(sys.argv[1]), Path(folder, "told"))
    victim.answer_requests()
