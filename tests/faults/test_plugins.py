"""Hostile plugins, met by every verb: named, never taken for done, and a cost to nobody but themselves."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from .tally import Tally

Run = Callable[..., Result]
TABLE = runpy.run_path(str(Path(__file__).parents[1] / "registry" / "test_hostile_plugins.py"))
TRAINING, TESTED, TOWER, WORKS = (TABLE[name] for name in ("TRAINING", "TESTED", "TOWER", "WORKS"))
PLUGINS: dict[str, str] = {
    **{f"at import: {what}": text for what, (text, _) in TABLE["AT_IMPORT"].items()},
    **TABLE["components"](),
}
BENCH = ("bench", "--train-on", TRAINING, "--test-on", TESTED, "--epochs", "1", "--json", *TOWER)
ACTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
IS_ASKED = ("check", "bench", "predict")  # verbs that cannot be done without the component


@pytest.fixture(scope="module")
def workspace(stackclip: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with features, a row of `fuzzy` and a plugin that works."""
    root = tmp_path_factory.mktemp("workspace")
    (root / "registry").mkdir()
    (root / "registry" / "works.py").write_text(WORKS, "utf-8")
    words = ("cache-features", "--dataset", TRAINING, "--dataset", TESTED, "--methods", "fuzzy", *TOWER)
    assert stackclip(root, *words).exit_code == 0
    assert stackclip(root, *BENCH, "--methods", "fuzzy").exit_code == 0
    return root


def verbs(workspace: Path) -> dict[str, tuple[str, ...]]:
    """Command lines that meet the component `hostile`, by their verb."""
    pictures = next((workspace / "cache" / "data").rglob("*.png")).parent
    asked = ("--methods", "hostile", "--train-on", TRAINING, "-o", str(workspace / "predictions"), *TOWER)
    return {
        "list": ("list", "prompts"),
        "doctor": ("doctor",),
        "show": ("show", "hostile"),
        "check": ("check", "hostile"),
        "cache-features": ("cache-features", "--dataset", TRAINING, "--methods", "hostile", *TOWER),
        "bench": (*BENCH, "--methods", "fuzzy,hostile"),
        "predict": ("predict", str(pictures), "--object", "x", *asked),
        "report": ("report", "--json"),
    }


def rows_of_fuzzy(result: Result) -> int:
    """How many rows of the method that works stand in the answer."""
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return sum(line["method"] == "fuzzy" for line in lines)


def test_a_hostile_plugin_is_named_by_every_verb_and_costs_only_itself(
    stackclip: Run, workspace: Path, tally: Tally, full: bool
) -> None:
    fault, path = "hostile plugins", workspace / "registry" / "hostile.py"
    tally.of(fault, "a plugin met by a verb")
    for what in list(PLUGINS)[:: 1 if full else 8]:
        path.write_text(PLUGINS[what], "utf-8")
        for verb, words in verbs(workspace).items():
            try:
                result = stackclip(workspace, *words)
            except AssertionError as error:  # a traceback, or an exception that left the program
                tally.counted(fault, "", f"{verb} {what}: {error!r}", messages=True)
                continue
            code, shown = result.exit_code, result.output
            named = verb == "report" or code == 0 or "hostile" in shown
            refused = verb == "bench" and code == 1 and str(path) in " ".join(shown.split())  # before any work
            tally.counted(
                fault,
                "",
                f"{verb} {what}: exit {code}: {shown[-1500:]}",
                messages=bool(ACTS.search(shown)) or code not in (0, 1, 3) or not named,
                silent=verb in IS_ASKED and code == 0,
                lost=(verb == "list" and "It works." not in shown)
                or (verb in ("list", "doctor", "report") and code != 0)
                or (verb in ("bench", "report") and not refused and not rows_of_fuzzy(result)),
            )
        path.unlink()
    tally.require(fault)
