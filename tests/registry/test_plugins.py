"""Components from installed distributions, with real wheels put in place by pip."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from stackclip.errors import BrokenPlugin, DuplicateComponent
from stackclip.registry import SHELVES, forget, problems, prompts, scorers, selectors

MODULE = '''
class Shout:
    """Every category in capital letters."""

    def __init__(self, *, mark: str = "!") -> None:
        self.mark = mark

    def stacks(self, categories, encode):
        return (categories,)

    def subject(self, category, group, *, seen):
        return category.upper() + self.mark


NUMBER = 3
'''


def make_wheel(folder: Path, distribution: str, files: Mapping[str, str], entry_points: str) -> Path:
    """A wheel as a build tool would write it, with its RECORD."""
    info = f"{distribution}-1.0.dist-info"
    written = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": entry_points,
    }
    record = []
    for name, text in written.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{name},sha256={digest},{len(text.encode())}")
    record.append(f"{info}/RECORD,,")
    path = folder / f"{distribution}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in written.items():
            wheel.writestr(name, text)
        wheel.writestr(f"{info}/RECORD", "\n".join(record) + "\n")
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed all wheels of this file: one that works and some that do not."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    made = [
        make_wheel(
            wheels,
            "shouting",
            {"stackclip_plugin_shouting.py": MODULE},
            "[stackclip.prompts]\nshout = stackclip_plugin_shouting:Shout\nnumber = stackclip_plugin_shouting:NUMBER\n"
            "absent = stackclip_plugin_shouting:Absent\n[console_scripts]\nother = stackclip_plugin_shouting:Shout\n",
        ),
        make_wheel(
            wheels,
            "raising",
            {"stackclip_plugin_raising.py": "raise RuntimeError('no licence found\\nand more')\n"},
            "[stackclip.prompts]\nraises = stackclip_plugin_raising:Shout\n",
        ),
        make_wheel(
            wheels,
            "leaving",
            {"stackclip_plugin_leaving.py": "import sys\nsys.exit('good bye')\n"},
            "[stackclip.prompts]\nleaves = stackclip_plugin_leaving:Shout\n[stackclip.scorers]\n"
            "leaves-too = stackclip_plugin_leaving:Shout\n",
        ),
        make_wheel(
            wheels,
            "decorated",
            {
                "stackclip_plugin_decorated.py": "from stackclip.registry import prompts\n"
                "from stackclip_plugin_shouting import Shout\n\n@prompts.register('twice-told')\n"
                "class Told(Shout):\n    '''It registers itself too.'''\n"
            },
            "[stackclip.prompts]\ntwice-told = stackclip_plugin_decorated:Told\n",
        ),
        make_wheel(
            wheels,
            "rival_one",
            {"stackclip_plugin_rival_one.py": MODULE},
            "[stackclip.prompts]\nrival = stackclip_plugin_rival_one:Shout\n",
        ),
        make_wheel(
            wheels,
            "rival_two",
            {"stackclip_plugin_rival_two.py": MODULE},
            "[stackclip.prompts]\nrival = stackclip_plugin_rival_two:Shout\n",
        ),
    ]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    pip += ["--disable-pip-version-check", "--target", str(target), *map(str, made)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    corrupt = target / "corrupt-1.0.dist-info"
    corrupt.mkdir()
    (corrupt / "METADATA").write_text("Metadata-Version: 2.1\nName: corrupt\nVersion: 1.0\n")
    (corrupt / "entry_points.txt").write_bytes(b"[stackclip.prompts]\nx = \xff\xfe\x00\n")
    nameless = target / "nameless-1.0.dist-info"
    nameless.mkdir()
    (nameless / "entry_points.txt").write_text("[stackclip.prompts]\nno-module = stackclip_plugin_nowhere:Shout\n")
    return target


@pytest.fixture
def plugins(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(installed))
    forget(SHELVES)
    return installed


@pytest.mark.usefixtures("plugins")
def test_a_component_of_an_installed_distribution_is_found_by_its_name():
    assert "shout" in prompts.names()
    assert "shout" in prompts
    strategy = prompts.create("shout[mark=?]")
    assert strategy.subject("bottle", ("bottle",), seen=False) == "BOTTLE?"
    component = prompts.find("shout")
    assert component.source == "shouting, stackclip_plugin_shouting:Shout"
    assert component.file is not None
    assert component.file.name == "stackclip_plugin_shouting.py"
    assert [option.label for option in component.options] == ["mark"]


@pytest.mark.usefixtures("plugins")
def test_a_distribution_is_not_imported_before_its_name_is_asked_for():
    assert {"shout", "raises", "leaves"} <= set(prompts.names())
    assert not [name for name in sys.modules if name.startswith("stackclip_plugin_")]
    prompts.find("shout")
    assert [name for name in sys.modules if name.startswith("stackclip_plugin_")] == ["stackclip_plugin_shouting"]


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("name", "distribution", "reason"),
    [
        ("raises", "raising", "RuntimeError: no licence found"),
        ("leaves", "leaving", "it ends the program (SystemExit good bye)"),
        ("number", "shouting", "is no class or function"),
        ("absent", "shouting", "AttributeError"),
        ("no-module", "an unnamed distribution", "ModuleNotFoundError"),
    ],
)
def test_a_distribution_that_does_not_load_is_named_and_the_others_go_on(name: str, distribution: str, reason: str):
    for _ in range(2):  # asked again, it says the same
        with pytest.raises(BrokenPlugin) as raised:
            prompts.find(name)
        message = str(raised.value)
        assert distribution in message
        assert reason in message
        assert "\n" not in message
    assert prompts.create("shout").mark == "!"
    assert prompts.create("fuzzy").word == "object"


@pytest.mark.usefixtures("plugins")
def test_a_corrupt_list_of_entry_points_is_reported_and_hides_nobody():
    assert {"shout", "fuzzy"} <= set(prompts.names())
    (problem,) = (problem for problem in problems() if problem.name == "corrupt")
    assert "UnicodeDecodeError" in problem.reason
    assert "entry_points.txt" in str(problem)


@pytest.mark.usefixtures("plugins")
def test_entry_points_stand_on_the_shelf_of_their_group_alone():
    assert "leaves-too" in scorers.names()
    assert "shout" not in scorers
    assert "shout" not in selectors
    assert "other" not in prompts


@pytest.mark.usefixtures("plugins")
def test_a_class_that_registers_itself_and_is_an_entry_point_too_is_no_duplicate():
    assert prompts.find("twice-told").summary == "It registers itself too."
    assert prompts.find("twice-told").source == "decorated, stackclip_plugin_decorated:Told"


@pytest.mark.usefixtures("plugins")
def test_two_distributions_with_one_name_are_refused_with_both_places():
    with pytest.raises(DuplicateComponent) as raised:
        prompts.find("rival")
    for place in ("rival_one, stackclip_plugin_rival_one:Shout", "rival_two, stackclip_plugin_rival_two:Shout"):
        assert place in str(raised.value)
    assert prompts.create("shout").mark == "!"


def test_a_distribution_that_is_gone_is_gone_from_the_shelf():
    assert "shout" not in prompts.names()
