"""The versions that the makefile installs: the lowest promised ones, and those that the tests passed with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.versions import frozen, lowest, main

OPTIONAL = {"faiss-cpu", "faiss-gpu-cu12", "wandb"}  # extras that `make` does not install
ROOT = Path(__file__).resolve().parents[2]


def project(dependencies: list[str], **extras: list[str]) -> dict[str, object]:
    return {
        "build-system": {"requires": ["setuptools>=77"]},
        "project": {"dependencies": dependencies, "optional-dependencies": extras},
    }


def test_the_lowest_version_of_each_requirement_is_the_highest_that_is_stated_for_it() -> None:
    stated = project(["Alpha>=1.9", "b_c[x] >= 2 ; python_version<'4'"], dev=["alpha>=1.10", "ruff>=0.17,<0.18"])
    assert list(lowest(stated)) == ["setuptools==77", "alpha==1.10", "b_c==2", "ruff==0.17"]


@pytest.mark.parametrize("requirement", ["alpha", "alpha<3", "alpha==2"])
def test_a_requirement_that_promises_no_lowest_version_is_named(requirement: str) -> None:
    with pytest.raises(SystemExit, match=f"'{requirement}' promises no lowest version"):
        list(lowest(project([requirement])))


def test_frozen_versions_hold_on_other_machines_too() -> None:
    lines = [
        "numpy==2.4.6\n",
        "torch==2.13.0+cpu\n",
        "nvidia-cublas==13.1\n",
        "cuda-toolkit==13.0\n",
        "triton==3.8.0\n",
    ]
    assert list(frozen(lines)) == ["numpy==2.4.6", "torch==2.13.0"]
    with pytest.raises(SystemExit, match="is no released version"):
        list(frozen(["torch @ file:///wheels/torch.whl\n"]))


def test_every_requirement_has_a_constraint_within_its_bounds_and_no_address(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
    assert all(re.fullmatch(r"[\w.]+", version) for version in pinned.values())
    main(["lowest"])
    least = dict(line.split("==") for line in capsys.readouterr().out.splitlines())
    for name in least.keys() - OPTIONAL:
        assert numbers(pinned[name]) >= numbers(least[name])


def numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
