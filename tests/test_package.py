"""What is built to be installed: the archives hold what they must, and the wheel works outside the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from stackclip.registry import SHELVES, use_workspace
from stackclip.version import VERSION

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
NOT_SOURCE = (
    *(".git", ".venv*", ".ready", "build", "dist", "*.egg-info", "__pycache__", "*.pyc", "cache", "predictions"),
    *(".*_cache", ".hypothesis", ".benchmarks"),
)
SMALL = "synthetic[categories=2,per_category=4,train_good=1,size=56]"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, without what was made in it."""
    copy = tmp_path_factory.mktemp("source") / "stackclip"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    shutil.copytree(ROOT / "stackclip" / "cache", copy / "stackclip" / "cache", dirs_exist_ok=True)
    (copy / "cache").mkdir()
    shutil.copy(ROOT / "cache" / "README.md", copy / "cache")
    return copy


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdist of it, and the wheel that is built from that sdist."""
    out = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(words, capture_output=True, text=True, env=alone())
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.suffix: path for path in out.iterdir()}


def alone() -> dict[str, str]:
    """The environment, in which nothing leads back to the checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def files_of(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path)
    }


def test_the_sdist_holds_the_tests_the_pages_and_all_that_builds_and_checks_it(
    source: Path, built: dict[str, Path]
) -> None:
    with tarfile.open(built[".gz"]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    unneeded = {".gitignore", "MANIFEST.in"}
    assert files_of(source) - held <= unneeded
    assert {"Makefile", "constraints.txt", "mkdocs.yml", "tests/conftest.py", "docs/hooks/pages.py"} <= held


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(source: Path, built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built[".whl"]) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(f"stackclip-{VERSION}.dist-info/METADATA").decode()
    of_package = {f"stackclip/{name}" for name in files_of(source / "stackclip")}
    assert held <= of_package
    assert {Path(name).suffix for name in of_package - held} <= {".md"}  # remarks for who reads the code
    assert f"Version: {VERSION}" in metadata
    assert "License-Expression: Apache-2.0" in metadata
    assert "Home-page:" not in metadata


def test_the_wheel_works_in_a_fresh_environment_outside_the_checkout(
    built: dict[str, Path], tmp_path: Path, registry_as_it_was: None
) -> None:
    place, work = tmp_path / "fresh", tmp_path / "elsewhere"
    work.mkdir()
    venv.create(place, with_pip=False, symlinks=os.name != "nt")
    scripts = place / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index", "--no-deps", "--quiet"]
    subprocess.run([*pip, str(built[".whl"])], check=True, env=alone(), capture_output=True)
    [site] = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    ).splitlines()
    others = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}  # a path alone: no editable install there
    (Path(site) / "others.pth").write_text("\n".join(others) + "\n")

    def run(*words: str) -> str:
        command = [str(scripts / "stackclip"), "--workspace", str(work), *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=work, env=alone())
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    origin = "import stackclip; print(stackclip.__file__)"
    found = subprocess.check_output([python, "-c", origin], text=True, cwd=work, env=alone())
    assert Path(found.strip()).is_relative_to(site)
    assert run("--version").strip().endswith(VERSION)
    use_workspace(None)
    listed = set(run("list").split())
    assert {component for shelf in SHELVES for component in shelf.names()} <= listed
    words = ("--train-on", SMALL, "--test-on", SMALL.replace("[", "[part=shapes,"), "--epochs", "1", "--json")
    rows = run("bench", "--methods", "stacked,clip", *words, "--image-size", "56", "-o", "bench.html")
    assert len(rows.splitlines()) == 4
    assert '"error": ""' in rows.splitlines()[0]
    assert (work / "bench.html").stat().st_size > 10_000


def test_the_citation_says_what_the_package_says() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert (cited["title"], str(cited["version"]), cited["license"]) == (PROJECT["name"], VERSION, PROJECT["license"])
    assert cited["keywords"] == PROJECT["keywords"]


def test_the_classifiers_name_the_versions_of_python_that_are_tested() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    least, most = re.findall(r"on Python (3\.\d+) to (3\.\d+)", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))[0]
    assert named[0] == least == PROJECT["requires-python"].removeprefix(">=")
    assert named[-1] == most
    assert "urls" not in PROJECT  # none is known, and none is made up
