"""Options that may be repeated add up, and names with commas and brackets in them can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result
from PIL import Image

from stackclip.cli import cli
from stackclip.cli.parsing import places, specs, whole_numbers
from stackclip.errors import UsageError
from stackclip.workspace import Workspace

Run = Callable[..., Result]
TOWER = ("--backbone", "random-vit-8", "--image-size", "56")


def options_of(group: click.Group) -> Iterator[tuple[click.Command, click.Option]]:
    for command in group.commands.values():
        for option in command.params:
            if isinstance(option, click.Option):
                yield command, option


@pytest.mark.parametrize(
    ("command", "option"),
    [pytest.param(*each, id=f"{each[0].name} {each[1].opts[-1]}") for each in options_of(cli)],
)
def test_no_option_that_takes_a_list_keeps_the_last_alone(command: click.Command, option: click.Option) -> None:
    """What takes `1,2` as two takes the option twice as two; the others take one value."""
    context = click.Context(command, info_name=command.name, obj=Workspace.find(Path("nowhere")))
    if option.is_flag or option.count or not isinstance(option.type, type(click.STRING)):
        assert not isinstance(option.get_default(context), (list, tuple)) or option.multiple
        return

    def read(*texts: str) -> object:
        words = [word for text in texts for word in (option.opts[-1], text)]
        found, _, _ = command.make_parser(context).parse_args(list(words))
        return option.handle_parse_result(context, found, [])[0]

    try:
        several = read("1,2")
    except (click.UsageError, UsageError):  # one number, or one of its own words
        several = "1,2"
    if isinstance(several, tuple) or option.multiple:
        assert list(read("1", "2")) == list(read("1,2")) or list(read("1", "2")) == ["1", "2"]


NAMING = [(command, option) for command, option in options_of(cli) if option.callback in (specs, places, whole_numbers)]


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
@pytest.mark.parametrize(
    ("command", "option"), [pytest.param(*each, id=f"{each[0].name} {each[1].opts[0]}") for each in NAMING]
)
def test_what_names_nothing_stands_for_nothing_else(command: click.Command, option: click.Option, text: str) -> None:
    context = click.Context(command, info_name=command.name, obj=Workspace.find(Path("nowhere")))
    assert option.callback is not None
    assert option.callback(context, option, ()) in ((), None)  # it may be left out
    with pytest.raises(click.BadParameter, match=re.escape(repr(text))):
        option.callback(context, option, (text,))


@pytest.mark.parametrize("methods", [("--methods", "clip,sdp"), ("--methods", "clip", "--methods", "sdp")])
def test_methods_typed_once_or_twice_are_the_same_and_replace_the_default(methods: tuple[str, ...]) -> None:
    with cli.commands["bench"].make_context("bench", [*methods], obj=Workspace.find(Path("nowhere"))) as context:
        assert context.params["methods"] == ("clip", "sdp")


def test_an_environment_variable_is_one_text_and_a_config_file_gives_a_list_or_a_text(
    stackclip: Run, tmp_path: Path
) -> None:
    env = {"B_METHODS": "clip,stacked[clusters=2,select=mean]", "B_CATEGORY": "metal nut", "B_SEEDS": "1,2"}
    with pytest.MonkeyPatch.context() as patch:
        for name, text in env.items():
            patch.setenv(name, text)
        with cli.commands["bench"].make_context(
            "bench", [], auto_envvar_prefix="B", obj=Workspace.find(Path("nowhere"))
        ) as context:
            assert context.params["methods"] == ("clip", "stacked[clusters=2,select=mean]")
            assert context.params["category"] == ("metal nut",)
            assert context.params["seeds"] == (1, 2)
    for text in ('methods = ["clip", "nope"]', 'methods = "clip,nope"', 'methods = "nope"'):
        (tmp_path / "c.toml").write_text(f"[bench]\n{text}\nseeds = 3\n")
        result = stackclip(tmp_path, "--config", str(tmp_path / "c.toml"), "bench")
        assert result.exit_code == 2
        assert "'nope'" in result.stderr


@pytest.mark.parametrize(
    ("text", "said"), [(str(2**64), "from 0 to 4294967295"), ("-1", "from 0 to"), ("1,x", "whole numbers")]
)
def test_seeds_that_no_generator_takes_are_one_line(stackclip: Run, tmp_path: Path, text: str, said: str) -> None:
    result = stackclip(tmp_path, "bench", "--seeds", text)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A data set whose path and one of whose categories have commas and a bracket."""
    root = tmp_path / "A, old [1" / "parts=x"
    for seed, category in enumerate(("nut, large", "cap")):
        for kind, shade in (("good", 90), ("bent", 150)):
            (root / category / "test" / kind).mkdir(parents=True)
            Image.new("RGB", (56, 56), (shade, 40 * seed, 9)).save(root / category / "test" / kind / "0.png")
    return root


@pytest.mark.parametrize("typed", ["{}", "left={}"])
def test_the_command_that_is_printed_for_a_path_with_commas_means_the_same(
    stackclip: Run, own: Path, tmp_path: Path, typed: str
) -> None:
    words = ("--methods", "clip", "--train-on", "synthetic[categories=1,per_category=2,train_good=0,size=56]", *TOWER)
    bench = ("bench", *words, "--test-on", typed.format(own), "--category", "nut, large", "--json")
    lacking = stackclip(tmp_path / "work", *bench, "--cached-only")
    assert lacking.exit_code == 1
    again = shlex.split(re.sub(r"\s*\n", " ", lacking.stderr).partition("Run: stackclip ")[2])
    assert stackclip(None, *again).exit_code == 0
    done = stackclip(tmp_path / "work", *bench, "--cached-only")
    assert done.exit_code == 0
    assert '"category": "nut, large"' in done.stdout
    assert f'"test_on": "{"left" if "left" in typed else "parts=x"}"' in done.stdout

    filters = ("--test-on", typed.format(own), "--train-on", "synthetic-training", "--json")
    reported = stackclip(tmp_path / "work", "report", *filters)
    assert reported.stdout == done.stdout
    wrong = stackclip(tmp_path / "work", "report", "--test-on", "nowhere")
    assert wrong.exit_code == 1
    assert "no row was tested on 'nowhere'; there are " in wrong.stderr
