"""Where things are kept: the workspace that is named, else the cache that is named, else the platform's."""

from __future__ import annotations

from pathlib import Path

import pytest
from platformdirs import user_cache_path

from stackclip.workspace import Workspace


def test_a_named_workspace_has_its_cache_and_its_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCLIP_CACHE", str(tmp_path / "elsewhere"))
    found = Workspace.find(tmp_path)
    assert (found.cache, found.registry) == (tmp_path / "cache", tmp_path / "registry")


def test_a_named_cache_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCLIP_CACHE", str(tmp_path / "named"))
    assert Workspace.find(None) == Workspace(tmp_path / "named", registry=None)


def test_a_home_in_the_name_of_a_cache_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCLIP_CACHE", "~/features")
    assert Workspace.find(None).cache == Path.home() / "features"


def test_a_named_cache_goes_before_that_of_a_checkout_whose_components_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKCLIP_CACHE", str(tmp_path / "named"))
    assert Workspace.find(tmp_path, typed=False) == Workspace(tmp_path / "named", tmp_path / "registry")
    monkeypatch.delenv("STACKCLIP_CACHE")
    assert Workspace.find(tmp_path, typed=False) == Workspace.find(tmp_path)


@pytest.mark.parametrize("empty", [None, ""])
def test_else_the_platform_says_where(empty: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if empty is None:
        monkeypatch.delenv("STACKCLIP_CACHE", raising=False)
    else:
        monkeypatch.setenv("STACKCLIP_CACHE", empty)
    assert Workspace.find(None) == Workspace(user_cache_path("stackclip"))


def test_everything_lies_in_folders_of_its_own_below_the_cache(tmp_path: Path) -> None:
    found = Workspace.find(tmp_path)
    places = [found.features, found.towers, found.text, found.rows, found.heads, found.generated]
    assert len(set(places)) == 6
    assert {place.parent for place in places} == {found.cache}


def test_finding_a_workspace_makes_no_folder(tmp_path: Path) -> None:
    Workspace.find(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
