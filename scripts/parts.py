"""Find out what the parts of methods are worth on the small sets: the figures of their cards in the documentation.

    python scripts/parts.py                   # all of METHODS; rows are kept in build/parts, so it can be stopped
    python scripts/parts.py sdp 'musc[k=0]'   # these alone; what the file has of others stays

Trained on generated pictures and tested on generated ones that training never shows, on generated assemblies, and on
the small real sets in `../shared/data`, which must be there (STACKCLIP_SHARED names another place).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from stackclip import Session
from stackclip.benchmarks.facts import facts_of
from stackclip.errors import StackclipError
from stackclip.registry import Spec
from stackclip.reports.parts_report import PartsReport
from stackclip.terminal import Bars, set_up_logging

__all__ = ["FILE", "METHODS", "facts_of_report", "main", "merged_lines"]

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docs" / "hooks" / "parts.json"
METHODS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("stackclip", "stacked"), (0, 1)),
    "sdp": (0,),  # nothing in it is drawn
    **dict.fromkeys(("sdp-plus", "aa-clip", "clip-lad[shots=4]"), (0, 1)),
    **dict.fromkeys(("clip-surgery", "musc"), (0,)),
    **dict.fromkeys(("april-gan[shots=4]", "winclip[shots=4]", "anomaly-dino[shots=4]", "anomalyclip", "mrad"), (0, 1)),
}
"""The methods, each with its seeds."""
TRAINED = "synthetic[part=training]"
GENERATED = ("synthetic[part=novel,categories=6]", "synthetic-logical")
REAL = ("mvtec-mini", "deeppcb-mini", "ksdd-mini")
_DIGITS = 4


def facts_of_report(report: PartsReport) -> dict[str, Any]:
    """What a card shows of an ablation, fractions in four digits."""
    return {"method": report.ablation.full, "bare": report.ablation.bare, "about": list(report.about)} | {
        "remarks": [*report.ablation.remarks],
        "notes": [*dict.fromkeys(note for row in report.rows if (note := facts_of(row).note))],
        "worth": [_of_part(record) for record in report.records()],
    }


def _of_part(record: dict[str, Any]) -> dict[str, Any]:
    found = {name: record[name] for name in ("part", "taken_away_by", "way", "test_on", "metric", "in_words")}
    found["worth"] = _short(record["worth"])
    for name in ("pictures", "categories"):
        found[name] = [_short(record[f"{name}_low"]), _short(record[f"{name}_high"])]
    return found


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS) + 0.0


def merged_lines(known: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is kept: the new of each method in place of the old, in the order of METHODS, others behind them."""
    every = {Spec.parse(each["method"]).name: each for each in (*known, *found)}
    order = [Spec.parse(method).name for method in METHODS]
    return [every[name] for name in sorted(every, key=lambda name: (*_place(order, name), name))]


def _place(order: list[str], name: str) -> tuple[int]:
    return (order.index(name) if name in order else len(order),)


def main(words: list[str]) -> None:
    """Ablate the methods that are named, or all, and write the file after each; exit 1 where the real sets lack."""
    set_up_logging(0, None)
    data = Path(os.environ.get("STACKCLIP_SHARED", ROOT.parent / "shared")) / "data"
    if lacking := [name for name in REAL if not (data / name).is_dir()]:
        raise SystemExit(f"{data}: lacks {', '.join(lacking)}, which the cards show: set STACKCLIP_SHARED")
    session = Session(ROOT / "build" / "parts")
    tested = (*GENERATED, *(str(data / name) for name in REAL))
    for method in words or METHODS:
        with Bars.shown() as bars:
            try:
                report = session.ablate(
                    method, train_on=TRAINED, test_on=tested, seeds=METHODS.get(method, (0, 1)), progress=bars
                )
            except StackclipError as error:
                raise SystemExit(f"{method}: {error}") from None
        known = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else []
        lines = [json.dumps(each) for each in merged_lines(known, [facts_of_report(report)])]
        FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
