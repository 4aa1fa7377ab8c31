"""What the doctor finds: said in order, read and never written, and broken things named instead of raised."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackclip import __version__
from stackclip.cache import Store
from stackclip.clip import random_tower
from stackclip.doctor import findings, store_findings
from stackclip.registry import use_workspace
from stackclip.workspace import Workspace

pytestmark = pytest.mark.usefixtures("registry_as_it_was")


def found(workspace: Workspace) -> dict[str, str]:
    return {title: "\n".join(lines) for title, lines in findings(workspace)}


def test_a_new_machine_is_told_what_it_has_and_nothing_is_written(tmp_path: Path) -> None:
    said = found(Workspace(tmp_path / "cache"))
    assert list(said) == ["stackclip", "packages", "device", "weights", "kept in", "components"]
    assert said["stackclip"].startswith(__version__)
    assert "torch " in said["packages"]
    assert "NOT INSTALLED" not in said["packages"]
    assert "random-vit-8" in said["weights"]
    assert "(made at first use)" in said["kept in"]
    assert "none without --workspace" in said["kept in"]
    assert "0 rows, 0 heads" in said["kept in"]
    assert "prompts: fuzzy, precise, stacked" in said["components"]
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_installed_is_said_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackclip.doctor.NEEDED", ("no-such-distribution",))
    monkeypatch.setattr("stackclip.doctor.OPTIONAL", {"none-such-either": "faiss"})
    packages = found(Workspace(tmp_path))["packages"]
    assert "no-such-distribution NOT INSTALLED" in packages
    assert 'none-such-either not installed (optional): pip install "stackclip[faiss]"' in packages


def test_stores_rows_and_heads_are_counted(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    tower = random_tower(image_size=56)
    store = Store.create(workspace.features, tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    for place, names in ((workspace.rows, ("a.json", ".b.json.1.tmp")), (workspace.heads, ("a.safetensors",))):
        place.mkdir()
        for name in names:
            (place / name).touch()
    kept = found(workspace)["kept in"]
    assert f"store {store.folder.name}: 0 pictures, 0 B" in kept
    assert "1 rows, 1 heads" in kept


def test_a_damaged_store_is_named_and_the_rest_is_said(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for size in (56, 64):
        tower = random_tower(image_size=size)
        store = Store.create(workspace.features, tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
        if size == 56:
            (store.folder / "store.json").write_text("{}")
    said = found(workspace)
    assert "store.json" in said["kept in"]
    assert "0 pictures, 0 B" in said["kept in"]
    assert "prompts: " in said["components"]


def test_a_plugin_that_does_not_load_is_named(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "broken.py").write_text("raise RuntimeError('no licence')")
    use_workspace(tmp_path / "registry")
    said = found(Workspace(tmp_path / "cache", tmp_path / "registry"))
    assert "PROBLEM: broken (" in said["components"]
    assert "RuntimeError: no licence" in said["components"]


@pytest.mark.parametrize("offline", ["1", "0"])
def test_the_place_of_downloaded_weights_is_said(offline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hugging"))
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    weights = found(Workspace(tmp_path))["weights"]
    assert f"HF_HOME: {tmp_path / 'hugging'}{', offline' if offline == '1' else ''})" in weights


def test_what_cannot_be_looked_at_is_one_line_and_the_rest_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for cache in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "loop", Path(f"{'x' * 300}")):
        said = found(Workspace(cache, tmp_path / "file"))
        assert str(cache) in said["kept in"]
        assert "prompts: " in said["components"]


def test_a_name_that_two_plugins_take_is_a_problem(tmp_path: Path) -> None:
    text = "from stackclip.registry import selectors\nselectors.register('same')(type('S', (), {}))\n"
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(text)
    use_workspace(tmp_path)
    assert "PROBLEM: selector 'same' is defined twice" in found(Workspace(tmp_path / "cache", tmp_path))["components"]


def test_a_disk_is_looked_at_where_a_store_is_yet_to_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackclip.cache.fitness.SEAL_BYTES", 1 << 60)
    found = list(store_findings(tmp_path / "cache" / "features"))
    assert [line.startswith("OK ") for _, line in found] == [holds for holds, _ in found]
    assert [line.rpartition("So: ")[2] for holds, line in found if not holds] == [
        "make room, or writers will end with a full disk"
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("share", "said"), [(0.31, "bf16 pays: a product takes 0.31 "), (4.2, "bf16 does not pay: ")])
def test_it_says_where_bf16_pays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, share: float, said: str) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("stackclip.doctor.bf16_share", lambda: share)
    device = found(Workspace(tmp_path))["device"]
    assert said in device
    assert ("--precision bf16" in device) == (share < 1)
