"""The verb `weights`, without a network; with a double of a hub it is tested in `tests/hub`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from huggingface_hub import constants

Run = Callable[..., Result]


@pytest.fixture
def run(stackclip: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return lambda *words: stackclip(tmp_path / "work", "weights", *words)


def test_an_empty_cache_says_how_to_fill_it(run: Run, tmp_path: Path) -> None:
    found = run()
    assert (found.exit_code, found.stdout) == (
        0,
        f"no weights in {tmp_path / 'hub'}; get some with: stackclip weights fetch MODEL:TAG\n",
    )


def test_a_name_is_shown_with_and_without_the_word(run: Run) -> None:
    found = run("ViT-L/14-336:openai")
    assert found.exit_code == 0
    assert found.stdout == run("show", "ViT-L-14-336:openai").stdout
    assert found.stdout.splitlines()[0] == "ViT-L-14-336:openai: --backbone ViT-L-14-336 --pretrained openai"
    assert "  transform    336 x 336 pixels, squash, bicubic" in found.stdout
    assert "  here         no; get them with: stackclip weights fetch ViT-L-14-336:openai" in found.stdout
    assert "fingerprint" not in found.stdout


def test_several_are_a_line_each(run: Run) -> None:
    lines = run("openai").stdout.splitlines()
    assert "ViT-B-32:openai  about 605.1 MB, not here" in lines
    assert all(line.endswith(", not here") for line in lines)


@pytest.mark.parametrize("words", [("fetch", "openai"), ("fetch", "ViT-B-32")])
def test_one_is_fetched_at_a_time(run: Run, words: tuple[str, ...]) -> None:
    found = run(*words)
    assert found.exit_code == 2
    assert "name one as MODEL:TAG" in found.stderr
    assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [("nothing",), ("fetch",), ("fetch", "nothing"), ("a", "b"), ("--again",), ("",)])
def test_wrong_words_are_usage_errors(run: Run, words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2


def test_without_a_network_nothing_is_fetched(run: Run) -> None:
    found = run("fetch", "ViT-B-32:openai")
    assert found.exit_code == 1
    assert "HF_HUB_OFFLINE is set" in found.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("HF_HUB_ETAG_TIMEOUT", "1.5"), ("HF_HUB_DOWNLOAD_TIMEOUT", ""), ("HF_ENDPOINT", "http://[::1")],
)
def test_a_variable_that_the_hubs_client_cannot_read_is_one_line(run: Run, name: str, value: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, value)
        found = run("ViT-B-32:openai")
    assert found.exit_code == 2
    assert f"{name} in the environment is {value!r}, wanted " in found.stderr
    assert len(found.stderr.splitlines()) == 1
