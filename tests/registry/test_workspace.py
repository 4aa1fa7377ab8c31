"""Files of a workspace: dropped in and there, broken and named, never run unasked."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stackclip.errors import BrokenPlugin, DuplicateComponent, UnknownComponent
from stackclip.registry import SHELVES, forget, problems, prompts, selectors, use_workspace

STRATEGY = '''
from stackclip.registry import prompts

@prompts.register("{name}")
class Strategy:
    """A strategy of the workspace."""

    def __init__(self, *, word: str = "thing") -> None:
        self.word = word

    def stacks(self, categories, encode):
        return (categories,)

    def subject(self, category, group, *, seen):
        return self.word
'''


def drop(folder: Path, file: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / file
    path.write_text(text, "utf-8")
    return path


def test_a_file_dropped_into_the_workspace_is_a_component(tmp_path: Path):
    path = drop(tmp_path, "mine.py", STRATEGY.format(name="mine"))
    use_workspace(tmp_path)
    assert "mine" in prompts.names()
    assert prompts.create("mine[word=part]").subject("bottle", ("bottle",), seen=True) == "part"
    component = prompts.find("mine")
    assert component.file == path.resolve()
    assert component.source == f"{path.resolve()}:4"


def test_a_file_dropped_in_later_is_found_after_the_registry_forgot(tmp_path: Path):
    use_workspace(tmp_path)
    assert "late" not in prompts
    drop(tmp_path, "late.py", STRATEGY.format(name="late"))
    forget(SHELVES)
    assert "late" in prompts


def test_a_workspace_that_is_not_there_is_empty(tmp_path: Path):
    use_workspace(tmp_path / "nowhere")
    assert "fuzzy" in prompts.names()
    assert problems() == ()


def test_components_of_the_package_survive_forgetting(tmp_path: Path):
    drop(tmp_path, "mine.py", STRATEGY.format(name="mine"))
    use_workspace(tmp_path)
    before = prompts.names()
    use_workspace(None)
    forget(SHELVES)
    assert set(before) - set(prompts.names()) == {"mine"}


def test_files_that_begin_with_an_underscore_and_other_files_are_left_alone(tmp_path: Path):
    for file in ("_draft.py", "__init__.py", "notes.txt", "model.pyc"):
        drop(tmp_path, file, "raise SystemExit('this must not run')")
    (tmp_path / "folder.d").mkdir()
    use_workspace(tmp_path)
    assert "fuzzy" in prompts.names()
    assert problems() == ()


BROKEN = {
    "syntax": ("def stacks(:\n", "SyntaxError: invalid syntax"),
    "leaves": ("import sys\nsys.exit(3)\n", "it ends the program (SystemExit 3)"),
    "lacks": ("import no_such_library_at_all\n", "ModuleNotFoundError: No module named 'no_such_library_at_all'"),
    "raises": ("raise RuntimeError('first line\\nsecond line')\n", "RuntimeError: first line"),
    "silent": ("assert False\n", "AssertionError"),
    "misnamed": ("from stackclip.registry import prompts\nprompts.register('No Name')\n", "is no component name"),
    "zero-bytes": ("x = 1\0", "null bytes"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_does_not_load_is_named_with_its_reason_and_the_others_go_on(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
):
    text, reason = BROKEN[name]
    path = drop(tmp_path, f"{name}.py", text)
    drop(tmp_path, "a_good_one.py", STRATEGY.format(name="a-good-one"))
    drop(tmp_path, "zz_good_one.py", STRATEGY.format(name="zz-good-one"))
    use_workspace(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert {"a-good-one", "zz-good-one", "fuzzy"} <= set(prompts.names())
    assert str(path) in caplog.text
    (problem,) = problems()
    assert problem.name == name
    assert problem.source == str(path)
    assert reason in problem.reason
    assert "\n" not in str(problem)
    with pytest.raises(BrokenPlugin) as raised:
        prompts.find(name)
    assert str(path) in str(raised.value)
    assert reason in str(raised.value)


def test_a_broken_file_is_found_by_the_hyphenated_name_that_it_would_have_had(tmp_path: Path):
    drop(tmp_path, "two_words.py", "1 / 0\n")
    use_workspace(tmp_path)
    with pytest.raises(BrokenPlugin, match="ZeroDivisionError"):
        prompts.find("two-words")


def test_a_broken_file_does_not_hide_that_another_name_is_unknown(tmp_path: Path):
    drop(tmp_path, "broken.py", "1 / 0\n")
    use_workspace(tmp_path)
    with pytest.raises(UnknownComponent):
        prompts.find("something-else")


def test_an_interrupt_while_a_file_loads_is_not_swallowed(tmp_path: Path, request: pytest.FixtureRequest):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    drop(tmp_path, "slow.py", "import signal\nsignal.raise_signal(signal.SIGINT)\n")
    use_workspace(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        prompts.names()


def test_an_interrupt_that_a_file_raises_itself_is_a_problem_of_the_file(tmp_path: Path):
    drop(tmp_path, "rude.py", "raise KeyboardInterrupt\n")
    use_workspace(tmp_path)
    assert "fuzzy" in prompts.names()
    assert [str(problem).rpartition(": ")[2] for problem in problems()] == ["KeyboardInterrupt"]


def test_two_files_with_one_name_are_refused_with_both_places(tmp_path: Path):
    one = drop(tmp_path, "one.py", STRATEGY.format(name="same"))
    two = drop(tmp_path, "two.py", STRATEGY.format(name="same"))
    use_workspace(tmp_path)
    with pytest.raises(DuplicateComponent) as raised:
        prompts.find("same")
    assert f"{one.resolve()}:4 and {two.resolve()}:4" in str(raised.value)
    assert prompts.create("fuzzy").word == "object"


def test_a_name_of_the_package_taken_by_a_file_is_refused_with_both_places(tmp_path: Path):
    path = drop(tmp_path, "fuzzy.py", STRATEGY.format(name="fuzzy"))
    use_workspace(tmp_path)
    with pytest.raises(DuplicateComponent) as raised:
        prompts.find("fuzzy")
    assert "stackclip/prompts/fuzzy.py" in str(raised.value)
    assert str(path.resolve()) in str(raised.value)


def test_one_file_can_fill_several_shelves(tmp_path: Path):
    text = (
        STRATEGY.format(name="both") + "\nfrom stackclip.registry import selectors\nselectors.register('first')(len)\n"
    )
    drop(tmp_path, "both.py", text)
    use_workspace(tmp_path)
    assert "first" in selectors
    assert "both" in prompts


def test_a_dataclass_with_postponed_annotations_can_be_a_component(tmp_path: Path):
    text = """
from __future__ import annotations
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from stackclip.registry import selectors

@selectors.register("typed")
@dataclass(frozen=True, kw_only=True)
class Typed:
    "A selector with options."
    file: Path | None = None
    mode: Literal["a", "b"] = "a"
"""
    drop(tmp_path, "typed.py", text)
    use_workspace(tmp_path)
    assert selectors.create("typed[file=x.json,mode=b]").file == Path("x.json")


def test_no_code_from_the_current_directory_runs_unasked(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "registry"):
        drop(folder, "mine.py", "raise SystemExit('code of the current directory ran')")
        drop(folder, "stackclip_workspace_mine.py", "raise SystemExit('code of the current directory ran')")
    code = "from stackclip.registry import prompts, selectors, problems\nprompts.names(), selectors.names()\n"
    code += "assert not problems()\nprint('quiet')"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "quiet\n", done.stderr
