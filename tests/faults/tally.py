"""The figures of a run, fault by fault, and the page and the JSON file that they are written to."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy
import PIL

import stackclip

from .lab import Ending

ROOT = Path(__file__).resolve().parents[2]
PAGE, RESULTS = ROOT / "docs" / "reliability.md", ROOT / "benchmarks" / "results" / "faults"


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
    """All figures of a run; `flaws` tell of the first things that went wrong under a fault, for the one who reads.

    `left` are the tests of each file that are still to come, of files that run whole; `current` is what they tell.
    `files` has the file that counted each fault and control.
    """

    left: ClassVar[Counter[str]] = Counter()
    current: ClassVar[Tally | None] = None

    faults: dict[str, Figures] = field(default_factory=dict)
    controls: dict[str, dict[str, int]] = field(default_factory=dict)
    flaws: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)

    def of(self, fault: str, figure: str) -> Figures:
        """The figures of a fault; `figure` says what its points are."""
        self.files.setdefault(fault, _running())
        return self.faults.setdefault(fault, Figures(figure))

    def control(self, name: str, *, states: int, failed: int) -> None:
        """Count how many states a writer that leaves something out was seen in, and how many failed."""
        self.files.setdefault(name, _running())
        self.controls[name] = {"states": states, "failed": failed}

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

    def write(self, stem: str) -> None:
        """Write what the tests of a file counted into a JSON file of its own, and the page of all files."""
        now = time.monotonic()
        facts = {
            "command": f"STACKCLIP_FAULTS=full pytest tests/faults/{stem}.py",
            "seconds": round(now - self._begun),
            "versions": {
                "stackclip": stackclip.__version__,
                "python": platform.python_version(),
                "h5py": h5py.__version__,
                "hdf5": h5py.version.hdf5_version,
                "numpy": numpy.__version__,
                "Pillow": PIL.__version__,
                "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            },
            "faults": {name: asdict(each) for name, each in self.faults.items() if self.files[name] == stem},
            "controls": {name: each for name, each in self.controls.items() if self.files[name] == stem},
        }
        self._begun = now
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{stem}.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")
        PAGE.write_text(
            page_of([json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*.json"))]), "utf-8"
        )
        print(f"wrote {PAGE.relative_to(ROOT)} and {RESULTS.relative_to(ROOT)}/{stem}.json", file=sys.stderr)


def _running() -> str:
    """The file of the test that is running."""
    return Path(os.environ["PYTEST_CURRENT_TEST"].partition("::")[0]).stem


def page_of(files: Sequence[dict[str, Any]]) -> str:
    """The page of what the files of this folder counted, each when it last ran whole."""
    columns = ("points", "acknowledged", "lost", "silent", "not resumable", "signals", "messages")
    lines = [
        f"| fault | a point is | {' | '.join(columns)} |",
        f"|---|---|{'---:|' * len(columns)}",
    ]
    for name, figures in (pair for facts in files for pair in facts["faults"].items()):
        values = [f"{figures[column.replace(' ', '_')]:,}".replace(",", " ") for column in columns]
        lines.append(f"| {name} | {figures['figure']} | {' | '.join(values)} |")
    found = [pair for facts in files for pair in facts["controls"].items()]
    controls = ["| control | states | that failed |", "|---|---:|---:|"]
    controls += [f"| {name} | {each['states']} | {each['failed']} |" for name, each in found]
    return _TEXT.format(
        faults="\n".join(lines),
        controls="\n".join(controls),
        versions="; ".join(dict.fromkeys(_versions(facts["versions"]) for facts in files)),
    )


def _versions(found: dict[str, str]) -> str:
    names = ", ".join(f"{name} {version}" for name, version in found.items() if name != "system")
    return f"{found['system']}, {names}"


_TEXT = """\
# Reliability: what was done to the store, and what came of it

This page is written by `make faults`, which does all of it; `make test` does a sample of each. The lines of a file of
`tests/faults` are renewed as soon as it ran whole. The same figures for machines are in `benchmarks/results/faults`;
what they are figures of is in [cache-format.md](cache-format.md).

On {versions}.

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
