"""Races against peers, and the figures that they give: kept in results/perf.json and in the table of the README.

Every test below this folder may ask for `race` and `figure`, and runs under `--benchmark-only` then:

    def test_reading_against_preadv(race: Any, figure: Any) -> None:
        assert np.array_equal(ours(), preadv())  # values are asserted, times are reported
        outcome = race(ours, preadv, rounds=9)
        figure("read at random, of raw preadv", outcome.ratio, goal=">= .9", unit="x", note="40 pictures of 11.2 MB")
"""

from __future__ import annotations

import json
import operator
import os
import platform
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pytest

HERE = Path(__file__).parent
PAGE, RESULTS = HERE.parent / "README.md", HERE.parent / "results" / "perf.json"
BEGIN, END = "<!-- figures: written by `make bench` -->\n", "<!-- end of figures -->"
_FEATURES = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX-512-BF16", "amx_bf16": "AMX-BF16"}
VERSIONS = ("torch", "numpy", "h5py")
GOAL = re.compile(r"(>=|<=|>|<) ([-+.\de]+)")
COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}

Runner = Callable[[], object]
Figures = dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Race:
    """Median seconds of one call: of ours, and of each peer by its name."""

    ours: float
    peers: Mapping[str, float]

    @property
    def peer(self) -> float:
        """Seconds of the fastest peer."""
        return min(self.peers.values())

    @property
    def ratio(self) -> float:
        """How many times as fast as the fastest peer ours is."""
        return self.peer / self.ours

    def against(self, name: str) -> float:
        """How many times as fast as the named peer ours is."""
        return self.peers[name] / self.ours


def run_race(
    ours: Runner, peer: Runner | Mapping[str, Runner], *, rounds: int = 7, before: Runner | None = None
) -> Race:
    """Call all runners in turn, `rounds` times after a round that does not count.

    `peer` is one runner or several by name. Each round begins with the next of them, so that what drifts drifts for
    all. `before` runs ahead of each call and is not timed.
    """
    peers = dict(peer) if isinstance(peer, Mapping) else {"peer": peer}
    runners: list[tuple[str | None, Runner]] = [(None, ours), *peers.items()]
    seconds: dict[str | None, list[float]] = defaultdict(list)
    for turn in range(-1, rounds):
        for name, runner in [runners[(turn + place) % len(runners)] for place in range(len(runners))]:
            if before is not None:
                before()
            start = perf_counter()
            runner()
            took = perf_counter() - start
            if turn >= 0:
                seconds[name].append(took)
    return Race(ours=median(seconds[None]), peers={name: median(seconds[name]) for name in peers})


def reaches(value: float, goal: str) -> bool:
    """Whether a value is as a goal wants it: ">= 4", "<= .51", "> 0", "< 1e-4"."""
    parsed = GOAL.fullmatch(goal)
    if parsed is None:
        raise ValueError(f"{goal!r} is no goal; wanted something like '>= 4'")
    return bool(COMPARE[parsed[1]](value, float(parsed[2])))


@pytest.fixture(scope="session")
def race() -> Callable[..., Race]:
    """`race(ours, peer, rounds=7)` gives a Race: medians of calls that are interleaved in this process."""
    return run_race


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`figure(name, value, goal=">= 4", unit="x", note="")` keeps one figure if the test passes; no goal is fine too.

    A name stands for one figure among all benchmarks.
    """
    node = request.node

    def record(name: str, value: float, *, goal: str = "", unit: str = "x", note: str = "") -> None:
        there = sum(kind == "figure" for kind, _ in node.user_properties)
        facts = {
            "id": _short(f"{node.path.stem}_{node.name}") + (f"_{there + 1}" if there else ""),
            "value": float(f"{value:.4g}"),
            "unit": unit,
            "goal": goal,
            "reached": reaches(value, goal) if goal else None,
            "note": note,
            "test": f"{node.path.relative_to(HERE).as_posix()}::{node.name}",
        }
        node.user_properties.append(("figure", (name, facts)))
        print(f"\n{name}: {shown(facts)}{f', goal {goal}: {answer(facts)}' if goal else ''}")

    return record


def _short(test: str) -> str:
    """What a figure is called where prose is too long: by its test, which changes less than the words about it."""
    return re.sub(r"\W+", "_", test.replace("test_", "")).strip("_")


class Recorder:
    """Gathers the figures of the tests that pass, and writes them down at the end."""

    def __init__(self) -> None:
        self.figures: Figures = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.figures.update(found for kind, found in report.user_properties if kind == "figure")  # type: ignore[misc]  # pytest says object

    def pytest_sessionfinish(self) -> None:
        if self.figures:
            write(self.figures)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(), "figures")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under --benchmark-only, which knows its own fixture only, let every test run that records a figure."""
    for item in items:
        if "figure" in getattr(item, "fixturenames", ()):
            reasons = [str(mark.kwargs.get("reason", "")) for mark in item.own_markers]
            kept = [mark for mark, why in zip(item.own_markers, reasons, strict=True) if "--benchmark-only" not in why]
            item.own_markers[:] = kept


def machine() -> str:
    """What the figures depend on: cores, processor, graphics card, versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts = [f"{cores} cores", _processor(), *_accelerators()]
    return ", ".join([*facts, f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in VERSIONS)])


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    said = listing.read_text() if listing.exists() else ""
    found = re.search(r"model name\s*:\s*(.+)", said)
    name = found[1].strip() if found else platform.processor() or platform.machine()
    return " ".join([name, *(words for flag, words in _FEATURES.items() if re.search(rf"\b{flag}\b", said))])


def _accelerators() -> list[str]:
    import torch

    return sorted({torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())})


def write(figures: Figures) -> None:
    """Merge figures into the JSON file and write the table of the README anew.

    Figures of tests that did not run are kept, unless there is no such test any more.
    """
    here = machine()
    old: Figures = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    ran = {facts["test"] for facts in figures.values()}
    kept = {name: facts for name, facts in old.items() if facts["test"] not in ran and _exists(facts["test"])}
    now = {name: {**facts, "machine": here, **_before(old.get(name))} for name, facts in figures.items()}
    merged = {**kept, **now}
    merged = dict(sorted(merged.items(), key=lambda item: str(item[1]["test"]).partition("::")[0]))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    _replace(RESULTS, json.dumps(merged, indent=1, ensure_ascii=False) + "\n")
    head, begin, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} has no place for the figures; wanted the lines {BEGIN.strip()} and {END}")
    _replace(PAGE, head + begin + table(merged) + end + tail)


def _before(facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the last run found, for `make bench-diff`."""
    return {"before": {name: facts[name] for name in ("value", "machine")}} if facts else {}


def _exists(test: str) -> bool:
    file, _, name = test.partition("::")
    return (HERE / file).exists() and f"def {name.partition('[')[0]}(" in (HERE / file).read_text("utf-8")


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    new.write_text(text, "utf-8")
    new.replace(path)


def table(figures: Figures) -> str:
    """The figures as Markdown, a table for each machine that they were measured on."""
    lines = []
    for place in dict.fromkeys(facts["machine"] for facts in figures.values()):
        lines += ["", f"On {place}:", "", "| figure | value | goal | reached | test |", "|---|---:|---:|---|---|"]
        for name, facts in figures.items():
            if facts["machine"] == place:
                file = facts["test"].partition("::")[0]
                words = f"{name}; {facts['note']}" if facts["note"] else name
                cells = (words, shown(facts), facts["goal"], answer(facts), f"[{file}](perf/{file})")
                lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join([*lines, "", ""])


def shown(facts: Mapping[str, Any]) -> str:
    """A value with its unit: 4.13 x."""
    value = facts["value"]
    digits = f"{value:,.0f}".replace(",", " ") if 100 <= abs(value) < 1e7 else f"{value:.3g}"
    return f"{digits} {facts['unit']}".rstrip()


def answer(facts: Mapping[str, Any]) -> str:
    """Whether the goal is reached, in a word."""
    return {True: "yes", False: "no", None: ""}[facts["reached"]]
