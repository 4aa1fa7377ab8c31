"""The figures of a run, fault by fault, and the page and the JSON file that they are written to."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy
import PIL

import stackclip

from .lab import Ending

ROOT = Path(__file__).resolve().parents[2]
PAGE, RESULTS = ROOT / "docs" / "reliability.md", ROOT / "benchmarks" / "results" / "faults.json"


@dataclass
class Figures:
    """What was counted under one fault.

    `points` is how often it was done; `acknowledged` how many parts of pictures had been reported safe; `lost` those
    of them that were gone; `silent` what was wrong and taken for right; `not_resumable` after how many points running
    again did not end in a whole store (for reading: did not end in an answer); `signals` how many processes a signal
    ended that nobody sent, or a time limit; `messages` how many ended with more or less than one line.
    """

    figure: str
    points: int = 0
    acknowledged: int = 0
    lost: int = 0
    silent: int = 0
    not_resumable: int = 0
    signals: int = 0
    messages: int = 0

    @property
    def flawless(self) -> bool:
        """Whether it was done at all, and nothing went wrong."""
        wrong = self.lost + self.silent + self.not_resumable + self.signals + self.messages
        return self.points > 0 and not wrong


@dataclass
class Tally:
    """All figures of a run; `flaws` tell of the first things that went wrong under a fault, for the one who reads."""

    complete: ClassVar[bool] = False  # whether all tests of this folder run

    faults: dict[str, Figures] = field(default_factory=dict)
    controls: dict[str, dict[str, int]] = field(default_factory=dict)
    flaws: dict[str, list[str]] = field(default_factory=dict)

    def of(self, fault: str, figure: str) -> Figures:
        """The figures of a fault; `figure` says what its points are."""
        return self.faults.setdefault(fault, Figures(figure))

    def judged(self, fault: str, where: str, verdict: dict[str, Any], ending: Ending | None = None) -> None:
        """Count one point: the verdict on the store, and how the victim ended if it was to end by itself."""
        figures = self.faults[fault]
        figures.points += 1
        figures.acknowledged += verdict["acknowledged"]
        figures.lost += verdict["lost"]
        figures.silent += verdict["silent"]
        figures.not_resumable += not (verdict["resumed"] and verdict["whole"])
        why = list(verdict["why"])
        if ending is not None:
            figures.signals += ending.signal != 0 or ending.hung
            figures.messages += ending.signal == 0 and not ending.in_order
            if ending.signal or not ending.in_order:
                why.append(f"ended with code {ending.code}, signal {ending.signal}: {ending.messages[-3000:]}")
        if why:
            self.flaws.setdefault(fault, []).append(f"{where}: {'; '.join(why)}")

    def counted(self, fault: str, figure: str, where: str, *, acknowledged: int = 0, **wrong: bool | int) -> None:
        """Count one point of another kind; `wrong` are the fields of Figures that it adds to."""
        figures = self.of(fault, figure)
        figures.points += 1
        figures.acknowledged += acknowledged
        for name, count in wrong.items():
            setattr(figures, name, getattr(figures, name) + int(count))
        if any(wrong.values()):
            self.flaws.setdefault(fault, []).append(where)

    def require(self, fault: str) -> None:
        """Fail the test that counted these points unless all of them are as they must be."""
        shown = "\n".join(self.flaws.get(fault, ())[:5])
        assert self.faults[fault].flawless, f"{fault}: {self.faults[fault]}\n{shown}"

    def write(self, seconds: float) -> None:
        """Write the page and the JSON file."""
        facts = {
            "command": "make faults",
            "seconds": round(seconds),
            "versions": {
                "stackclip": stackclip.__version__,
                "python": platform.python_version(),
                "h5py": h5py.__version__,
                "hdf5": h5py.version.hdf5_version,
                "numpy": numpy.__version__,
                "Pillow": PIL.__version__,
                "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            },
            "faults": {name: asdict(figures) for name, figures in self.faults.items()},
            "controls": self.controls,
        }
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")
        PAGE.write_text(_page(facts, self), "utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)} and {RESULTS.relative_to(ROOT)}", file=sys.stderr)


def _page(facts: dict[str, Any], tally: Tally) -> str:
    columns = ("points", "acknowledged", "lost", "silent", "not resumable", "signals", "messages")
    lines = [
        f"| fault | a point is | {' | '.join(columns)} |",
        f"|---|---|{'---:|' * len(columns)}",
    ]
    for name, figures in tally.faults.items():
        values = [f"{getattr(figures, column.replace(' ', '_')):,}".replace(",", " ") for column in columns]
        lines.append(f"| {name} | {figures.figure} | {' | '.join(values)} |")
    controls = ["| control | states | that failed |", "|---|---:|---:|"]
    controls += [f"| {name} | {found['states']} | {found['failed']} |" for name, found in tally.controls.items()]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if name != "system")
    return _TEXT.format(
        faults="\n".join(lines),
        controls="\n".join(controls),
        versions=versions,
        system=facts["versions"]["system"],
        minutes=max(1, round(facts["seconds"] / 60)),
    )


_TEXT = """\
# Reliability: what was done to the store, and what came of it

This page is written by `make faults`, which does all of it; `make test` does a sample of each. The same figures for
machines are in [benchmarks/results/faults.json](../benchmarks/results/faults.json), what they are figures of is in
[cache-format.md](cache-format.md), and the code is in `tests/faults`.

{minutes} minutes on {system}: {versions}.

{faults}

- **acknowledged**: parts of pictures that had been reported safe when the fault came, over all points.
- **lost**: those of them that were not there afterwards.
- **silent**: parts that were there, wrong, and given to a reader without an error.
- **not resumable**: points after which running again did not end in a store that is whole, equal to that of a run
  without a fault, and has nothing left over.
- **signals**: processes that ended by a signal nobody sent, or had to be stopped after their time limit.
- **messages**: processes that ended with a traceback, with more or less than one line, or with another exit code than
  what they did asks for.

## How

A shim between the process and the system sees every open, read, write, truncation, reservation of space, fsync, link,
rename, unlink, mkdir, lock and close below the store's folder. It writes them down, and at one of them it kills the
process, before it or in the middle of its write, gives it an error (once, or from then on), or lets it write less.
The process is `stackclip.cache.extract` with a tower of arithmetic: pictures and masks into a new store, in several
segments, and then another part of the same pictures. It says in a file of its own what it was told to be safe.

For a power loss the operations that were written down are done again on paper, and two models say what reached the
disk. *Unordered*: bytes are safe from an fsync of their file on, names from an fsync of their folder on, and each later
operation and each sector of 512 bytes is kept or lost by itself. *Ordered*: a journal; an fsync makes all names and
sizes before it safe, later ones are kept up to some moment, and bytes are safe only from an fsync of their own file on.
The power goes after every operation, with several fates each, and also in a run that goes on after one that was killed.

## Controls

A harness that finds nothing may be blind. So the same power losses happen to writers that leave something out; each
must fail.

{controls}
"""
