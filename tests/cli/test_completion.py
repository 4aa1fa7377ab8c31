"""What a shell is told of names of components, through click's own classes for shells."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete, get_completion_class
from click.testing import Result

from stackclip.cli import cli
from stackclip.cli.completion import PROPOSED
from stackclip.papers.suites import suites
from stackclip.registry import datasets, methods, prompts

Run = Callable[..., Result]


def proposals(words: str, typed: str = "") -> list[str]:
    """What is proposed for `typed` behind some words."""
    found = ShellComplete(cli, {}, "stackclip", "_STACKCLIP_COMPLETE").get_completions(words.split(), typed)
    return [item.value if item.type == "plain" else item.type for item in found]


@pytest.mark.parametrize(
    ("words", "typed", "wanted"),
    [
        ("bench --methods", "stacke", ["stacked"]),
        ("bench --methods", "clip,stacke", ["clip,stacked"]),
        (
            "bench --methods",
            "stacked[clusters=2,joiner=comma],musc,win",
            ["stacked[clusters=2,joiner=comma],musc,winclip"],
        ),
        ("bench --methods", "stacked[clus", []),
        ("bench --methods fuzzy --methods", "win", ["winclip"]),
        ("inspect FOLDER --method", "patchc", ["patchcore-clip"]),
        ("bench --test-on", "mvtec,vis", ["mvtec,visa", "mvtec,visa-prepared"]),
        ("bench --train-on", "bta", ["btad"]),
        ("bench --transfer", "btad,mvtec-l", ["btad,mvtec-loco"]),
        ("study", "fuzzyclip-table2", ["fuzzyclip-table2"]),
        ("study", "mine/", ["file"]),
        ("cache-features --dataset", "./parts/", ["file"]),
        ("bench --backbone", "stack", ["stackclip-tiny"]),
        ("bench --executor", "pro", ["processes"]),
        ("bench --tracker", "ml", ["mlflow"]),
        ("bench --tracker", "mlflow,w", ["mlflow,wandb"]),
        ("bench --suite", "fuzzyclip-table2", ["fuzzyclip-table2"]),
        ("show", "patchc", ["patchcore-clip"]),
        ("check", "efa", ["efa"]),
        ("list", "lea", ["learners"]),
        ("list", "sui", ["suites"]),
        ("new", "bac", ["backbone"]),
        ("", "complet", ["completion"]),
    ],
)
def test_names_are_proposed_where_they_are_typed(words: str, typed: str, wanted: list[str]) -> None:
    assert proposals(words, typed) == wanted


def test_folders_are_proposed_beside_data_sets_and_in_lists_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("visa-mine", "visa", "other", "own/parts", "own/[odd]", "own/.hidden", "own/a,b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "visa.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert proposals("bench --test-on", "visa") == ["visa", "visa-prepared", "visa-mine"]
    assert proposals("bench --test-on", "btad,./ot") == ["btad,./other"]
    assert proposals("bench --test-on", "btad,own/") == ["btad,own/parts"]
    assert proposals("bench --test-on", f"btad,{tmp_path}/o") == [
        f"btad,{tmp_path}/{name}" for name in ("other", "own")
    ]
    assert proposals("bench --test-on", "btad,nowhere/x") == ["file"]
    assert proposals("bench --test-on", "btad,~nobody-of-this-name/x") == ["file"]
    assert proposals("bench --test-on", "./ot") == ["file"]
    assert proposals("bench --methods", "clip,./ot") == ["file"]


def test_all_names_are_proposed_where_nothing_is_typed_yet() -> None:
    assert set(proposals("bench --methods")) == {*methods.names(), *prompts.names()}
    assert set(proposals("bench --test-on")) == set(datasets.names())
    assert set(proposals("bench --suite")) == set(suites())


def test_components_of_the_workspace_are_proposed_and_a_wrong_one_disturbs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "mine.py").write_text(
        '@prompts.register("stacked-mine")\nclass Mine: ...\nraise SystemExit'
    )
    assert proposals(f"--workspace {tmp_path} bench --methods", "stacked") == ["stacked", "stacked-mine"]
    monkeypatch.setenv("STACKCLIP_CACHE", "~nobody-of-this-name/cache")
    assert proposals("bench --methods", "stacke") == ["stacked"]


def test_every_place_for_which_names_are_proposed_is_there() -> None:
    there = {option for command in cli.commands.values() for each in command.params for option in each.opts}
    there |= {f"{verb} {each.human_readable_name}" for verb, command in cli.commands.items() for each in command.params}
    assert set(PROPOSED) <= there


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_a_shell_wants_is_printed(stackclip: Run, tmp_path: Path, shell: str) -> None:
    result = stackclip(tmp_path, "completion", shell)
    assert result.exit_code == 0, result.output
    assert f"_STACKCLIP_COMPLETE={shell}_complete" in result.stdout
    if shell == "fish":  # it would cut a list at its first comma
        assert 'string split --max 1 "," $completion' in result.stdout
    if path := shutil.which(shell):
        subprocess.run([path, "-n"], input=result.stdout, text=True, check=True)


def test_an_unknown_shell_is_refused_in_one_line(stackclip: Run, tmp_path: Path) -> None:
    result = stackclip(tmp_path, "completion", "cmd")
    assert result.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in result.stderr


def test_a_proposal_loads_neither_torch_nor_open_clip(tmp_path: Path) -> None:
    code = (
        "import sys; from stackclip.cli import cli; from click.shell_completion import ShellComplete as S\n"
        "s = S(cli, {}, 'stackclip', '_X'); words = sys.argv[1:]\n"
        "assert s.get_completions(['bench', '--methods', 'fuzzy', '--test-on'], 'mv')\n"
        "assert s.get_completions(['bench', '--test-on', 'mvtec,./x', '--methods'], 'stacked,win')\n"
        "print(*sorted({'torch', 'open_clip', 'sklearn', 'scipy', 'h5py', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == ""


def test_bash_is_given_a_list_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    bash = get_completion_class("bash")
    assert bash is not None
    monkeypatch.setenv("COMP_WORDS", "stackclip bench --methods stacked,win")
    monkeypatch.setenv("COMP_CWORD", "3")
    assert bash(cli, {}, "stackclip", "_STACKCLIP_COMPLETE").complete() == "plain,stacked,winclip"
