"""Record the rows of a fixed bench, which are to be the same before and after a change of shapes.

    python scripts/record_rows.py before.jsonl                  # on the old commit
    python scripts/record_rows.py after.jsonl --like before.jsonl    # on the new one, on the same machine

Eight methods, two seeds, generated pictures and the small real sets in `../shared/data`, where they are; then with
shots, and then with intervals. What tells of time and versions is left out; all else is compared byte by byte.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["differences", "main", "record", "steady"]

ROOT = Path(__file__).resolve().parents[1]
METHODS = "stacked,fuzzy,precise,april-gan,sdp-plus,clip-surgery,winclip,anomalyclip"
BENCH = (
    *("--seeds", "0,1", "--epochs", "1", "--image-size", "112", "--device", "cpu"),
    *("--train-on", "synthetic[part=training,categories=4,per_category=6,train_good=4]"),
)
GENERATED = "synthetic[part=combinations,categories=2,per_category=6,train_good=4]"
RUNS = {
    "plain": ("--methods", METHODS),
    "shots": ("--methods", "winclip,april-gan,april-gan[shots=1]", "--shots", "2"),
    "ci": ("--methods", "fuzzy,winclip", "--ci"),
}
VOLATILE = ("seconds", "train_seconds", "recorded", "stackclip")
"""How long things took, and the versions that they took place with."""


def steady(row: Any, *places: Path) -> Any:
    """A row, or a part of it, without what is volatile and without the places where this run had its files."""
    if isinstance(row, dict):
        return {key: steady(value, *places) for key, value in row.items() if key not in VOLATILE}
    if isinstance(row, list):
        return [steady(value, *places) for value in row]
    if isinstance(row, str):
        for place in places:
            row = row.replace(str(place), ".")
    return row


def record(words: tuple[str, ...], workspace: Path) -> Iterator[dict[str, Any]]:
    """The steady rows of one bench. Raises SystemExit where there is no table."""
    data = Path(os.environ.get("STACKCLIP_SHARED", ROOT.parent / "shared")) / "data"
    tested = [GENERATED, *(str(folder) for folder in sorted(data.glob("*-mini")))]
    command = ["bench", *BENCH, "--test-on", ",".join(tested), *words, "--json"]
    where = {**os.environ, "STACKCLIP_CACHE": str(workspace), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *command], env=where, stdout=subprocess.PIPE, check=False, text=True
    )
    if ran.returncode not in (0, 3):  # 3: a row says why there is nothing, which is recorded too
        raise SystemExit(f"{' '.join(command)}: ended with {ran.returncode}")
    rows = (json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{"))
    yield from (steady(row, workspace, data) for row in rows)


def differences(found: list[str], wanted: list[str]) -> Iterator[str]:
    """What differs between two records, a line a row: the row and the first places in it."""
    ours, theirs = ({_name(json.loads(line)): line for line in each} for each in (found, wanted))
    for name in sorted({*ours, *theirs}):
        if ours.get(name) == theirs.get(name):
            continue
        if name not in ours or name not in theirs:
            yield f"{name}: {'is new' if name in ours else 'is gone'}"
            continue
        places = [*_apart(json.loads(ours[name]), json.loads(theirs[name]))]
        yield f"{name}: {', '.join(places[:4])}"


def _name(row: Any) -> str:
    return " ".join(str(row.get(key, "")) for key in ("run", "method", "test_on", "category", "seed", "shots"))


def _apart(ours: Any, theirs: Any, at: str = "") -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted({*ours, *theirs}):
            yield from _apart(ours.get(key), theirs.get(key), f"{at}.{key}" if at else key)
    elif ours != theirs:
        yield f"{at} is {ours!r}, was {theirs!r}"


def main(words: list[str]) -> None:
    """Record to the file named, and compare with that behind `--like`; exit 1 where they differ."""
    if len(words) not in (1, 3) or words[1:2] not in ([], ["--like"]):
        raise SystemExit("wanted: record_rows.py FILE [--like FILE]")
    lines = []
    with tempfile.TemporaryDirectory() as workspace:
        for name, more in RUNS.items():
            rows = record(more, Path(workspace))
            lines += [json.dumps({"run": name, **row}, sort_keys=True) for row in rows]
    lines.sort()
    Path(words[0]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} rows in {words[0]}")
    if words[1:]:
        apart = [*differences(lines, Path(words[2]).read_text("utf-8").splitlines())]
        print(*apart, f"{len(apart)} rows differ", sep="\n")
        raise SystemExit(bool(apart))


if __name__ == "__main__":
    main(sys.argv[1:])
