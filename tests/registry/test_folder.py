"""Files of a workspace import each other, are named where they fail, and are nobody else's."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from stackclip.errors import BadOption, BrokenPlugin
from stackclip.registry import code_of, guarded, placed, problems, selectors, use_workspace

HEAD = """
from stackclip.registry import selectors
{imports}

@selectors.register("{name}")
class Mine:
    "A selector of the workspace."
    said = {said}
"""


def drop(folder: Path, file: str, text: str) -> Path:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def component(folder: Path, *, imports: str, said: str, name: str = "mine") -> None:
    drop(folder, f"{name}.py", HEAD.format(imports=imports, said=said, name=name))
    use_workspace(folder)


@pytest.mark.parametrize(
    ("imports", "said"),
    [
        ("from my_helper import WORD", "WORD"),
        ("from my_helper import *", "WORD"),
        ("import my_helper", "my_helper.WORD"),
        ("import my_helper as other", "other.WORD"),
        ("from . import my_helper", "my_helper.WORD"),
        ("from .my_helper import WORD", "WORD"),
        ("from my_tools.words import WORD", "WORD"),
        ("import my_tools.words", "my_tools.words.WORD"),
        ("import my_tools.words as words", "words.WORD"),
        ("from my_tools import words", "words.WORD"),
        ("from .my_tools.words import WORD", "WORD"),
        ("def late():\n    from _hidden import WORD\n    return WORD", "late()"),
    ],
)
def test_a_file_imports_another_of_its_folder(tmp_path: Path, imports: str, said: str) -> None:
    drop(tmp_path, "my_helper.py", "from _hidden import WORD\n")
    drop(tmp_path, "_hidden.py", "WORD = 'hidden'\n")
    drop(tmp_path, "my_tools/__init__.py", "")
    drop(tmp_path, "my_tools/words.py", "from my_helper import WORD\nfrom ._same import SAME\nassert SAME is WORD\n")
    drop(tmp_path, "my_tools/_same.py", "from .. import my_helper\nSAME = my_helper.WORD\n")
    component(tmp_path, imports=imports, said=said)
    assert selectors.find("mine").factory.said == "hidden"
    assert problems() == ()


def test_a_file_that_others_import_runs_once(tmp_path: Path) -> None:
    counts = (
        "from pathlib import Path\nwith open(Path(__file__).with_suffix('.ran'), 'a') as ran:\n    ran.write('x')\n"
    )
    drop(tmp_path, "zz_helper.py", counts)
    component(tmp_path, imports="import zz_helper", said="1")
    drop(tmp_path, "other.py", "from . import zz_helper\n")
    assert "mine" in selectors
    assert (tmp_path / "zz_helper.ran").read_text() == "x"
    assert not (tmp_path / "__pycache__").exists()


def test_what_python_finds_elsewhere_is_meant_unless_a_neighbour_is_named(tmp_path: Path) -> None:
    """A file `torch.py` that wraps torch goes on to import torch."""
    for name in ("colorsys", "filelock_of_mine"):
        drop(tmp_path, f"{name}.py", "MINE = True\n")
    component(
        tmp_path,
        imports="import colorsys, filelock_of_mine\nfrom . import colorsys as own",
        said="(hasattr(colorsys, 'MINE'), filelock_of_mine.MINE, own.MINE)",
    )
    assert selectors.find("mine").factory.said == (False, True, True)


def test_a_folder_that_a_file_put_on_the_path_is_still_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    drop(tmp_path, "my_helper.py", "WORD = 1\n")
    component(tmp_path, imports=f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport my_helper", said="1")
    assert list(code_of(selectors.find("mine"))) == ["mine", "my_helper"]
    assert "my_helper" not in sys.modules


def test_nobody_else_can_import_the_files(tmp_path: Path) -> None:
    drop(tmp_path, "my_helper.py", "WORD = 1\n")
    component(tmp_path, imports="import my_helper", said="my_helper.WORD")
    assert selectors.find("mine").factory.said == 1
    assert "my_helper" not in sys.modules
    with pytest.raises(ModuleNotFoundError, match="No module named 'my_helper'"):
        importlib.import_module("my_helper")


def test_two_workspaces_have_helpers_of_one_name_and_only_the_components_of_the_last(tmp_path: Path) -> None:
    for word in ("one", "two"):
        drop(tmp_path / word, "my_helper.py", f"WORD = '{word}'\n")
        late = "def late():\n    from my_helper import WORD\n    return WORD"
        component(
            tmp_path / word, imports=f"import my_helper\n{late}", said="(my_helper.WORD, late)", name=f"of-{word}"
        )
    use_workspace(tmp_path / "one")
    first, late = selectors.find("of-one").factory.said
    use_workspace(tmp_path / "two")
    second, _ = selectors.find("of-two").factory.said
    assert (first, second, late()) == ("one", "two", "one")
    assert "of-one" not in selectors
    use_workspace(tmp_path / "one")
    assert ("of-one" in selectors, "of-two" in selectors) == (True, False)
    use_workspace(None)
    assert "of-one" not in selectors


def test_a_helper_that_changed_is_read_anew(tmp_path: Path) -> None:
    for word in ("a", "b"):  # of one length and within a second, which a cache of bytecode would not notice
        drop(tmp_path, "my_helper.py", f"WORD = '{word}'\n")
        component(tmp_path, imports="import my_helper", said="my_helper.WORD")
        assert selectors.find("mine").factory.said == word


@pytest.mark.parametrize(
    ("helper", "imports", "reason"),
    [
        ("x = 1\n1 / 0\n", "import _my_helper", "_my_helper.py:2: ZeroDivisionError: division by zero"),
        ("", "from _my_helper import nope", "ImportError: cannot import name 'nope' from '_my_helper' ("),
        ("", "from _my_helpr import nope", "ModuleNotFoundError: No module named '_my_helpr'"),
        ("", "import _my_helper.sub", "ModuleNotFoundError: No module named '_my_helper.sub'; '_my_helper' is not a p"),
        ("def broken(:\n", "import _my_helper", "SyntaxError: invalid syntax (_my_helper.py, line 1)"),
        ("import sys; sys.exit(3)", "from . import _my_helper", "_my_helper.py:1: it ends the program (SystemExit 3)"),
        ("import numpy; numpy.nope", "import _my_helper", "_my_helper.py:1: AttributeError: module 'numpy'"),
    ],
)
def test_an_import_that_fails_is_named_with_its_place(tmp_path: Path, helper: str, imports: str, reason: str) -> None:
    drop(tmp_path, "_my_helper.py", helper)
    component(tmp_path, imports=imports, said="1")
    assert "mine" not in selectors
    (problem,) = problems()
    assert problem.name == "mine"
    assert problem.reason.startswith(reason)


def test_files_whose_names_are_no_words_of_python_are_read(tmp_path: Path) -> None:
    for file in ("v1.2.py", "two-words.py", "class.py"):
        drop(tmp_path, file, HEAD.format(imports="", said=1, name=file.replace(".", "-")))
    use_workspace(tmp_path)
    assert {"v1-2-py", "two-words-py", "class-py"} <= set(selectors.names())
    assert problems() == ()


def test_a_new_process_needs_no_more_than_the_folder(tmp_path: Path) -> None:
    drop(tmp_path, "my_helper.py", "WORD = 'found'\n")
    component(tmp_path, imports="from my_helper import WORD", said="WORD")
    code = "import sys\nfrom pathlib import Path\nfrom stackclip.registry import selectors, use_workspace\n"
    code += "use_workspace(Path(sys.argv[1]))\nprint(selectors.find('mine').factory.said)"
    words = [sys.executable, "-P", "-c", code, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == "found\n", done.stderr


def test_what_a_component_raises_is_told_with_its_own_innermost_line(tmp_path: Path) -> None:
    drop(tmp_path, "my_helper.py", "def look(words):\n    return words['loss']\n")
    component(tmp_path, imports="import my_helper", said="staticmethod(lambda: my_helper.look({}))")
    with pytest.raises(BrokenPlugin) as raised, guarded():
        selectors.find("mine").factory.said()
    assert placed(raised.value) == "KeyError: 'loss' (my_helper.py:2)"


def test_what_the_package_raises_and_what_is_raised_on_purpose_has_no_place() -> None:
    with pytest.raises(BrokenPlugin) as raised, guarded():
        {}["loss"]
    assert placed(raised.value) == "KeyError: 'loss'"
    assert placed(BadOption("cut=2")) == "cut=2"
