"""The schedules of every suite beside the published ones, as a table for docs/suites.md.

    python -m stackclip.papers.schedule_table docs/suites.md

writes it between its marks; a test says when that has to be done again.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stackclip.clip import Tower, random_tower
from stackclip.data.census import TOTAL, published_categories, published_counts
from stackclip.errors import NotApplicable
from stackclip.methods import Task, resolve
from stackclip.papers.runs import Run
from stackclip.papers.schedules import published_schedules, said_of
from stackclip.papers.suites import suites
from stackclip.registry import Spec

__all__ = ["BEGIN", "END", "schedule_table", "written_into"]

BEGIN, END = "<!-- schedules: written by stackclip.papers.schedule_table -->", "<!-- end of schedules -->"
_HEAD = ("suite", "trained on", "method", "part", "here", "paper", "release")


def written_into(page: str) -> str:
    """The page with the table as it is now between its marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{schedule_table()}\n{END}{rest.partition(END)[2]}"


def schedule_table() -> str:
    """A line for each part that a method of a paper's suite learns; methods of one suite that train alike share it."""
    lines: dict[tuple[str, ...], dict[str, None]] = {}
    tower = random_tower(image_size=32)
    for suite in (suite for suite in suites().values() if suite.source):
        for run in (run for run in suite.runs if run.train_on):
            for method in run.methods:
                for part, here, paper, release in _parts(method, run, tower):
                    key = (suite.name, _where(run), part, here, paper, release)
                    lines.setdefault(key, {})[Spec.parse(method).name] = None
    rows = [(suite, where, ", ".join(names), part, *said) for (suite, where, part, *said), names in lines.items()]
    return "".join(f"| {' | '.join(row)} |\n" for row in (_HEAD, ("---",) * len(_HEAD), *rows))


def _parts(method: str, run: Run, tower: Tower) -> Iterator[tuple[str, str, str, str]]:
    """Each learned part with what it is here, in the paper and in the released code."""
    pictures = _pictures(run)
    text: Any = _Text(tower)
    task = Task(
        tower=tower.spec,
        encode=text,
        categories=tuple(dict.fromkeys(name for data in run.train_on for name in _categories(data, run))),
        train_on=run.train_on,
        seed=0,
        device=torch.device("cpu"),
        epochs=run.epochs,
        pictures=pictures,
        batch_size=run.batch_size,
        text=tower.text,
        image=tower.image,
    )
    schedules: Mapping[str, Any] = resolve(_one_stack(method)).begin(task).facts.get("schedule", {})
    for part, own in schedules.items():
        said = {each.said_by: each.values for each in published_schedules(method, part, run.train_on)}
        theirs = [said_of(_with_steps(said[who], pictures)) if who in said else "-" for who in ("paper", "release")]
        yield part, said_of(own), theirs[0], theirs[1]


def _one_stack(method: str) -> str:
    """The method under one stack: how many there are follows from the text tower, and each set has its own steps."""
    spec = Spec.parse(method)
    if spec.name not in ("stacked", "stackclip"):
        return method
    return str(spec.with_options(clusters="1", max_clusters="1", overflow="chunk-mean"))


def _with_steps(said: Mapping[str, float], pictures: int) -> Mapping[str, Any]:
    if "epochs" in said and "batch" in said:
        return {**said, "steps": int(said["epochs"]) * math.ceil(pictures / said["batch"])}
    return said


def _where(run: Run) -> str:
    some = f" (only {', '.join(run.train_categories)})" if run.train_categories else ""
    return "+".join(run.train_on) + (f" (without {', '.join(run.train_without)})" if run.train_without else some)


def _categories(dataset: str, run: Run) -> tuple[str, ...]:
    return tuple(
        name
        for name in published_categories(dataset)
        if (not run.train_categories or name in run.train_categories) and name not in run.train_without
    )


def _pictures(run: Run) -> int:
    """The test pictures of the training sets, which are trained on."""
    if run.train_shots is not None:
        return run.train_shots * sum(len(_categories(data, run)) for data in run.train_on)
    found = 0
    for data in run.train_on:
        counts = published_counts(data)
        named = (TOTAL,) if TOTAL in counts else _categories(data, run)
        found += sum((counts[name].test_good or 0) + (counts[name].test_defective or 0) for name in named)
    return found


@dataclass(frozen=True, slots=True)
class _Text:
    """A text tower whose features do not matter: no schedule depends on them."""

    tower: Tower

    @property
    def context_length(self) -> int:
        return self.tower.context_length

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        return torch.ones(len(phrases), self.tower.spec.joint)

    def count_tokens(self, phrase: str) -> int:
        return self.tower.count_tokens(phrase)

    def class_means(self, categories: Sequence[str]) -> Tensor:
        raise NotApplicable("there are no pictures here")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(written_into(path.read_text("utf-8")), "utf-8")
