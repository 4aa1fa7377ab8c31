"""Plugins that do everything wrong, met by every verb: a line that names them, the right exit code, no traceback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]
TRAINING = "synthetic[categories=2,per_category=2,train_good=2,size=56]"
TESTED = "synthetic[part=combinations,categories=1,per_category=2,train_good=2,size=56]"
TOWER = ("--backbone", "random-vit-8", "--image-size", "56")

AT_IMPORT = {
    "leaves": ("raise SystemExit(0)", "ends the program (SystemExit 0)"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "closes": ("raise GeneratorExit", "GeneratorExit"),
    "odd": ("class Odd(BaseException): pass\nraise Odd('no \\x1b[2J')", "Odd: no "),
    "dumb": ("class Dumb(Exception):\n    def __str__(self): raise OSError\nraise Dumb", "its message raises OSError"),
    "deep": ("def f(): f()\nf()", "RecursionError"),
    "full": ("raise MemoryError", "MemoryError"),
    "circular": ("from circular import missing", "ImportError: cannot import name 'missing'"),
    "unwritten": ("def (:", "SyntaxError"),
    "warns": ("import warnings\nwarnings.simplefilter('error')\nwarnings.warn('old')", "UserWarning: old"),
    "nameless": ("from stackclip.registry import prompts\nprompts.register(3)(len)", "3 is no component name"),
}

COMPONENT = '''
from stackclip.registry import methods, prompts
{before}
@{shelf}.register("{name}")
class Hostile{base}:
    """A component."""
{body}
'''
WORKS = """
from stackclip.registry import prompts

@prompts.register("works")
class Works:
    \"\"\"It works.\"\"\"
    def groups(self, categories, encode): return (categories,)
    def subject(self, category, group, *, seen): return "part"
"""
NONE = '''
from stackclip.registry import methods

@methods.register("hostile")
def hostile():
    """A component."""
'''
NEEDS_NOTHING = "    def needs(self, tower, phase): return set()\n"
BODIES = {
    "leaves": "    def __init__(self): raise SystemExit(0)",
    "interrupts": "    def __init__(self): raise KeyboardInterrupt",
    "closes": "    def __init__(self): raise GeneratorExit",
    "without needs": "    pass",
    "needs that leave": "    def needs(self, tower, phase): raise SystemExit(0)",
    "needs that interrupt": "    def needs(self, tower, phase): raise KeyboardInterrupt",
    "needs of rubbish": "    def needs(self, tower, phase): return 3",
    "needs of text": "    def needs(self, tower, phase): return {'cls', None}",
    "needs that cannot be shown": "    def needs(self, tower, phase): return {bad}",
    "no begin": "    def needs(self, tower, phase): return set()",
    "begins and leaves": NEEDS_NOTHING + "    def begin(self, task): raise SystemExit(0)",
    "begins and closes": NEEDS_NOTHING + "    def begin(self, task): raise GeneratorExit",
    "begins with nothing": "    def needs(self, tower, phase): return set()\n    def begin(self, task): return None",
    "option of no type": "    def __init__(self, *, x: 'NoSuchType' = 3): pass",
    "default that cannot be shown": "    def __init__(self, *, x: int = bad): pass",
    "option with a cry": "    def __init__(self, *, x: str = '\\x1b[2J\\n'): pass",
}
BAD = "class Bad:\n    def __repr__(self): raise OSError\n    __str__ = __repr__\nbad = Bad()\n"
LOUD = "class Loud(type):\n    __doc__ = property(lambda cls: exit(0))\n    tree = property(lambda cls: exit(0))\n"


def components() -> dict[str, str]:
    """The text of the file that defines `hostile`, by what is wrong with it."""
    found = {
        what: COMPONENT.format(before=BAD, shelf="methods", name="hostile", base="", body=body)
        for what, body in BODIES.items()
    }
    loud = COMPONENT.format(before=LOUD, shelf="methods", name="hostile", base="(metaclass=Loud)", body="    pass")
    strategy = "    def groups(self, categories, encode): raise SystemExit(0)"
    return {
        **found,
        "none": NONE,
        "doc that leaves": loud.replace('    """A component."""\n', ""),
        "doc of bytes": found["without needs"].replace('"""A component."""', "__doc__ = b'x'"),
        "strategy that leaves": COMPONENT.format(before="", shelf="prompts", name="hostile", base="", body=strategy),
    }


def calm(result: Result) -> str:
    """All that a verb said, which holds no traceback and nothing that acts."""
    assert "Traceback" not in result.output
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", result.output)
    return " ".join(result.output.split())


def drop(workspace: Path, name: str, text: str) -> Path:
    (workspace / "registry").mkdir(exist_ok=True)
    path = workspace / "registry" / f"{name}.py"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def workspace(stackclip: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which small data sets are encoded."""
    root = tmp_path_factory.mktemp("workspace")
    words = ("cache-features", "--dataset", TRAINING, "--dataset", TESTED, "--methods", "fuzzy", *TOWER)
    assert stackclip(root, *words).exit_code == 0
    return root


def test_files_that_do_not_load_are_named_and_the_others_work(stackclip: Run, tmp_path: Path) -> None:
    for name, (text, _) in AT_IMPORT.items():
        drop(tmp_path, name, text)
    drop(tmp_path, "works", WORKS)
    listed = stackclip(tmp_path, "list", "prompts")
    assert listed.exit_code == 0
    said = calm(listed)
    assert "It works." in said
    for name, (_, why) in AT_IMPORT.items():
        assert f"{name}.py) did not load: " in said
        assert why in said
        shown = stackclip(tmp_path, "show", name)
        assert shown.exit_code == 1
        assert why in calm(shown)
    assert stackclip(tmp_path, "check", "works").exit_code == 0


def test_what_is_no_file_is_not_read(stackclip: Run, tmp_path: Path) -> None:
    drop(tmp_path, "works", WORKS)
    os.mkfifo(tmp_path / "registry" / "pipe.py")
    (tmp_path / "registry" / "folder.py").mkdir()
    (tmp_path / "registry" / "dangling.py").symlink_to("nowhere")
    listed = stackclip(tmp_path, "list", "prompts")
    assert listed.exit_code == 0
    assert calm(listed).count("did not load: it is no regular file") == 6  # as they are met, and below the list
    assert "It works." in listed.output


@pytest.mark.parametrize("what", components())
def test_a_component_that_does_not_work_is_named_by_every_verb_and_costs_only_itself(
    stackclip: Run, workspace: Path, what: str
) -> None:
    drop(workspace, "works", WORKS)
    path = drop(workspace, "hostile", components()[what])
    listed = stackclip(workspace, "list")
    assert listed.exit_code == 0
    assert "It works." in calm(listed)
    assert "hostile" in calm(listed)
    assert "prompts: " in calm(stackclip(workspace, "doctor"))
    shown = stackclip(workspace, "show", "hostile")
    assert shown.exit_code in (0, 1)
    checked = stackclip(workspace, "check", "hostile")
    assert checked.exit_code == 1
    assert "hostile" in calm(checked)
    words = ("bench", "--methods", "fuzzy,hostile", "--train-on", TRAINING, "--test-on", TESTED, "--epochs", "1")
    benched = stackclip(workspace, *words, *TOWER)
    assert benched.exit_code in (1, 3)
    assert "hostile" in calm(benched)
    if benched.exit_code == 1:
        assert str(path) in calm(benched)  # refused before any work
    else:
        assert re.search(r"fuzzy +\d", benched.stdout)
        assert "hostile on " in benched.output
    cached = stackclip(workspace, "cache-features", "--dataset", TRAINING, "--methods", "hostile", *TOWER)
    assert cached.exit_code in (0, 1)
    calm(cached)
    pictures = next((workspace / "cache" / "data").rglob("*.png")).parent
    words = ("predict", str(pictures), "--object", "x", "--methods", "hostile", "--train-on", TRAINING)
    predicted = stackclip(workspace, *words, "-o", str(workspace / "predictions"), *TOWER)
    assert predicted.exit_code == 1
    assert "hostile" in calm(predicted)


def started(workspace: Path, *words: str) -> subprocess.Popen[str]:
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # pytest may run in the background
    )
    code += "from stackclip.cli import main; import stackclip.registry.guard as guard; guard.SLOW = 0.5; main()"
    command = [sys.executable, "-c", code, "--workspace", str(workspace), *words]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=-1, stderr=-1, text=True
    )


@pytest.mark.parametrize("swallows", [False, True])
def test_an_import_without_end_is_named_and_ctrl_c_ends_it(tmp_path: Path, swallows: bool) -> None:
    wait = "import time\nfor _ in range(600):\n    time.sleep(0.1)\n"
    swallowed = "try:\n    import time; time.sleep(60)\nexcept BaseException:\n    pass\n"
    path = drop(tmp_path, "endless", swallowed if swallows else wait)
    with started(tmp_path, "list", "prompts") as running:
        try:
            assert running.stderr is not None
            line = running.stderr.readline()
            assert f"still importing {path} after" in line
            running.send_signal(signal.SIGINT)
            output, rest = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 130
    assert rest.splitlines()[-1] == f"interrupted while importing {path}"
    assert "Traceback" not in output + rest


CLOSES = {
    "import sys; sys.stdout.close()": "stdout",
    "import sys; sys.stderr.close()": "stderr",
    "import sys; sys.stdout = sys.stderr = None": "stdout and stderr",
    "import sys; sys.stdout = 5": "stdout",
    "import io, sys; io.TextIOWrapper(sys.stdout.buffer)": "stdout",
    "import sys; sys.stdout.detach()": "stdout",
    "import os; os.close(1); os.close(2)": "stdout and stderr",
}


@pytest.mark.parametrize("line", CLOSES)
def test_a_plugin_that_closes_the_streams_costs_only_itself(tmp_path: Path, line: str) -> None:
    drop(tmp_path, "a_closes", line)
    drop(tmp_path, "works", WORKS)
    with started(tmp_path, "list", "prompts") as running:
        output, rest = running.communicate(timeout=120)
    words = f"a_closes.py) did not load: it closes {CLOSES[line]}, which it shares with others"
    assert running.returncode == 0
    assert "It works." in output
    assert [words in text for text in (output, rest)] == [True, True]
    assert "Traceback" not in rest


def test_a_plugin_may_wrap_the_streams(tmp_path: Path) -> None:
    drop(
        tmp_path,
        "wraps",
        "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')\n" + WORKS,
    )
    with started(tmp_path, "list", "prompts") as running:
        output, rest = running.communicate(timeout=120)
    assert (running.returncode, rest) == (0, "")
    assert "It works." in output


def test_what_a_plugin_logs_by_itself_is_harmless(tmp_path: Path) -> None:
    drop(tmp_path, "logs", "import logging; logging.getLogger('x').warning('a \\x1b[31mb\\x07\\nc')\n" + WORKS)
    with started(tmp_path, "list", "prompts") as running:
        output, rest = running.communicate(timeout=120)
    assert running.returncode == 0
    assert rest.splitlines() == ["a \\x1b[31mb\\x07\\nc"]
    assert "It works." in output
