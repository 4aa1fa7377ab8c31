"""Which files the code of a component from outside is: those that it imports from its own home, and no others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stackclip.registry import SHELVES, code_of, forget, scorers, selectors, use_workspace

MINE = "from stackclip.registry import selectors\n{}\n\n@selectors.register('mine')\nclass Mine:\n    'Mine.'\n"


def drop(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def names(component_name: str = "mine") -> list[str]:
    found = code_of(selectors.find(component_name))
    assert all(file.is_file() for file in found.values())
    return list(found)


@pytest.mark.parametrize("name", ["mean", "dbscan"])
def test_components_of_the_package_are_written_in_no_file_of_the_users(name: str) -> None:
    assert code_of(selectors.find(name)) == {}


def test_the_closure_of_a_workspace_file_is_what_it_imports_there(tmp_path: Path) -> None:
    drop(
        tmp_path,
        mine=MINE.format("import numpy, json\nfrom helper import x\nfrom stackclip.ops.maps import unit"),
        helper="x = 1\ndef late():\n    from . import deep\n    import tools.inner\n",
        deep="import helper",  # in a circle
        tools__init="",
        unrelated="import helper",
        json="x = 2",
    )
    (tmp_path / "tools" / "init.py").rename(tmp_path / "tools" / "__init__.py")
    drop(tmp_path / "tools", inner="from .sibling import y", sibling="from ..last import y", other="y = 1")
    drop(tmp_path, last="y = 1")
    use_workspace(tmp_path)
    assert names() == ["deep", "helper", "last", "mine", "tools", "tools.inner", "tools.sibling"]


def test_a_neighbour_of_a_name_that_is_elsewhere_too_counts_where_it_is_meant(tmp_path: Path) -> None:
    drop(tmp_path, mine=MINE.format("from . import json"), json="x = 1")
    use_workspace(tmp_path)
    assert names() == ["json", "mine"]


def test_a_file_that_only_some_branch_imports_counts_and_a_broken_one_too(tmp_path: Path) -> None:
    drop(
        tmp_path,
        mine=MINE.format("try:\n    import broken\nexcept SyntaxError:\n    import spare"),
        broken="def (:",
        spare="",
    )
    use_workspace(tmp_path)
    assert names() == ["broken", "mine", "spare"]


def test_a_file_whose_name_is_no_module_is_its_own_code(tmp_path: Path) -> None:
    (tmp_path / "v1.2.py").write_text(MINE.format("import helper"))
    drop(tmp_path, helper="")
    use_workspace(tmp_path)
    assert names() == ["helper", "v1.2"]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two installed distributions in one folder: one of a package and a module, the other beside it."""
    site = tmp_path / "site"
    drop(
        site,
        stackclip_plugin_one__init="",
        stackclip_plugin_one__lowest="class Lowest:\n    'Lowest.'\n",
        stackclip_plugin_one__median="from . import rank\nimport stackclip_plugin_extra, stackclip_plugin_two\n"
        "from .lowest import Lowest\nclass Median(Lowest):\n    'Median.'\n",
        stackclip_plugin_one__rank="import numpy",
        stackclip_plugin_one__unused="",
        stackclip_plugin_extra="",
        stackclip_plugin_two="",
    )
    (site / "stackclip_plugin_one" / "init.py").rename(site / "stackclip_plugin_one" / "__init__.py")
    points = {
        "one": "[stackclip.selectors]\nmedian = stackclip_plugin_one.median:Median\n"
        "lowest = stackclip_plugin_one.median:Lowest\n[stackclip.scorers]\ncomposed = stackclip_plugin_extra:made\n",
        "two": "[stackclip.selectors]\ntwo = stackclip_plugin_two:Two\n",
    }
    tops = {"one": "stackclip_plugin_one\nstackclip_plugin_extra\n", "two": "stackclip_plugin_two\n"}
    for name, text in points.items():
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(text)
        (info / "top_level.txt").write_text(tops[name])
    monkeypatch.syspath_prepend(str(site))
    forget(SHELVES)
    return site


@pytest.mark.usefixtures("site")
def test_the_closure_of_an_installed_component_stays_in_its_distribution() -> None:
    of_median = [f"stackclip_plugin_{name}" for name in ("extra", "one", "one.lowest", "one.median", "one.rank")]
    assert names("median") == of_median
    assert names("lowest") == of_median  # its entry point imports them, and may change it


def test_a_component_made_of_ours_elsewhere_is_written_where_its_entry_point_is(site: Path) -> None:
    drop(
        site,
        stackclip_plugin_extra="from stackclip.methods import Composition\nmade = Composition('precise', 'Made.')\n",
    )
    found = code_of(scorers.find("composed"))
    assert list(found) == ["stackclip_plugin_extra"]


SCRIPT = """
import {first}
from stackclip.registry import code_of, selectors

@selectors.register("scripted")
class Scripted:
    "Scripted."

for name in ("scripted", "imported"):
    print(*code_of(selectors.find(name)))
"""


def test_a_script_and_what_lies_beside_it_count(tmp_path: Path) -> None:
    drop(
        tmp_path,
        script=SCRIPT.format(first="heads_of_mine, numpy"),
        heads_of_mine="import helper\nfrom stackclip.registry import selectors\n"
        "@selectors.register('imported')\nclass Imported:\n    'Imported.'\n",
        helper="",
        unrelated="",
    )
    words = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["heads_of_mine helper script", "heads_of_mine helper"], done.stderr
