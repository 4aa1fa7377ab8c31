"""The worked examples: each is checked and benched as it is, and copied under a name of the user's."""

from __future__ import annotations

import ast
import csv
import json
import re
import shlex
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch
from click.testing import Result
from PIL import Image
from scipy.stats import trim_mean

from stackclip.clip import TextEncoder, random_tower
from stackclip.contracts import check
from stackclip.contracts.common import ASKED
from stackclip.errors import BadOption, DataError, UsageError
from stackclip.methods import Moment, Task, resolve
from stackclip.registry import EXAMPLES, SHELVES, Example, datasets, examples, prompts, selectors, use_workspace
from stackclip.types import ANOMALOUS, CLS, MASK, Features, Sample, patch

Run = Callable[..., Result]
SMALL = {
    "STACKCLIP_BENCH_TRAIN_ON": "synthetic[categories=2,per_category=4,train_good=2,size=56]",
    "STACKCLIP_BENCH_TEST_ON": "synthetic[part=shapes,categories=2,per_category=4,train_good=2,size=56]",
    "STACKCLIP_BENCH_IMAGE_SIZE": "56",
    "STACKCLIP_BENCH_EPOCHS": "1",
    "STACKCLIP_BENCH_BACKBONE": "random-vit-8",
}

CATEGORIES = ("bottle", "carpet", "woven_001", "cable")


@pytest.fixture
def workspace() -> Path:
    use_workspace(EXAMPLES)
    return EXAMPLES


@pytest.mark.usefixtures("workspace")
def test_the_example_puts_textures_and_objects_on_two_stacks():
    strategy = prompts.create("surface-or-object")
    groups = strategy.stacks(CATEGORIES, None)
    assert groups == (("carpet", "woven_001"), ("bottle", "cable"))
    assert [strategy.subject("leather", group, seen=False) for group in groups] == ["surface", "object"]
    assert strategy.stacks(("bottle",), None) == (("bottle",),)
    felt = prompts.create("surface-or-object[surfaces=felt+cable]")
    assert felt.stacks(CATEGORIES, None) == (("cable",), ("bottle", "carpet", "woven_001"))


@pytest.mark.usefixtures("workspace")
def test_the_trimmed_mean_is_scipys():
    features = torch.randn(21, 8, generator=torch.Generator().manual_seed(0))
    points = torch.nn.functional.normalize(features, dim=1).numpy()
    wanted = torch.from_numpy(trim_mean(points, 0.2))
    found = selectors.create("trimmed-mean[cut=0.2]")(features)
    torch.testing.assert_close(found, wanted / wanted.norm())
    with pytest.raises(BadOption, match=r"cut=0.5; wanted 0 to below 0.5"):
        selectors.create("trimmed-mean[cut=0.5]")


@pytest.mark.usefixtures("workspace")
def test_the_odd_patch_is_the_one_that_differs():
    tower = random_tower(image_size=32)
    task = Task(
        tower=tower.spec,
        encode=TextEncoder(tower),  # type: ignore[arg-type]  # it asks for no text
        categories=(),
        train_on=(),
        seed=0,
        device=torch.device("cpu"),
    )
    tokens = torch.ones(1, 16, 4)
    tokens[0, 5] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    sample = Sample("a.png", "x", "cap", "test", Path("x"), None, ANOMALOUS, "y")
    features = Features((sample,), {patch(8): tokens})
    detector = resolve("odd-patch").begin(task)
    prediction = detector.on("cap", iter(()), iter(())).predict(features)
    assert prediction.maps[0].argmax().item() // 32 // 8 == 1  # the second row of patches
    shots = iter([Features((sample,), {patch(8): tokens[:, 5:6]})])
    shown = detector.on("cap", shots, iter(())).predict(features)  # now all others are odd
    assert shown.maps[0, 0, 0].item() == pytest.approx(1)


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("spec", ["surface-or-object", "surface-or-object[head=efa]"])
def test_the_example_trains_and_predicts_beside_the_methods_of_the_package(spec: str, at: Callable[..., Moment]):
    tower = random_tower(image_size=32)
    task = Task(
        tower=tower.spec,
        encode=TextEncoder(tower),  # type: ignore[arg-type]  # no class means are asked for
        categories=CATEGORIES,
        train_on=("random",),
        seed=0,
        device=torch.device("cpu"),
    )
    draws = torch.Generator().manual_seed(0)
    parts = tower.encode(torch.randn(4, 3, 32, 32, generator=draws), (*tower.spec.taps, CLS))
    masks = (torch.rand(4, 32, 32, generator=draws) < 0.2).float()
    samples = tuple(Sample(f"{name}.png", "x", name, "test", Path("x"), None, ANOMALOUS, "y") for name in CATEGORIES)
    features = Features(samples, {**parts, MASK: masks})
    maps = {}
    for name in (spec, "fuzzy"):
        detector = resolve(name).begin(task)
        losses = [detector.step(features, at(detector, last=True))["loss"] for _ in range(10)]
        assert losses[-1] < losses[0]
        prediction = detector.predict(features)
        assert prediction.scores.isfinite().all()
        assert prediction.maps.shape == (4, 32, 32)
        maps[name] = prediction.maps
    assert not torch.allclose(maps[spec], maps["fuzzy"])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of pictures, for the example of a data set."""
    root = tmp_path_factory.mktemp("data")
    lines = [("picture", "category", "split", "defect", "mask")]
    for number, (split, defect) in enumerate([("train", "good"), ("test", "good"), ("test", "scratch")] * 2):
        mask = f"masks/{number}.png" if defect == "scratch" else ""
        lines.append((f"cap/{number}.png", "cap", split, defect, mask))
        for name in filter(None, (lines[-1][0], mask)):
            (root / name).parent.mkdir(exist_ok=True)
            picture = Image.new("L", (56, 56), 20 * number)
            picture.paste(255, (8, 8, 24, 24)) if defect != "good" else None
            (picture.point(lambda value: 255 * (value == 255)) if name == mask else picture).save(root / name)
    with (root / "samples.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return root


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in whose `registry/` all examples lie as they are."""
    root = tmp_path_factory.mktemp("used")
    shutil.copytree(EXAMPLES, root / "registry", ignore=shutil.ignore_patterns("__pycache__"))
    return root


COMMANDS = [(kind, command) for kind in examples() for command in Example.of(kind).commands]


@pytest.mark.parametrize(("kind", "command"), COMMANDS, ids=[command for _, command in COMMANDS])
def test_what_an_example_says_to_try_works(stackclip: Run, used: Path, data: Path, kind: str, command: str) -> None:
    words = [str(data) if word == "DATA" else word for word in shlex.split(command)]
    env = {name: value for name, value in SMALL.items() if "--backbone" not in words or "BACKBONE" not in name}
    done = stackclip(used, *words, *(["--json"] if words[0] == "bench" else []), env=env)
    assert done.exit_code == 0, done.output
    if words[0] == "bench":
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert rows
        assert not [row["error"] for row in rows if row["error"]]
        assert command.count(Example.of(kind).name) > 0
    else:
        assert "failed" not in done.stdout
        assert ("of them were read" in done.stdout) == ("--data-root" in words)


@pytest.mark.parametrize("kind", examples())
def test_every_example_is_checked_and_benched_by_what_it_says_and_explains_itself(kind: str) -> None:
    example = Example.of(kind)
    assert {command.split()[0] for command in example.commands} == {"check", "bench"}
    assert example.shelf in {shelf.kind for shelf in SHELVES}
    for node in ast.walk(ast.parse(example.text)):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node) or node.name == "__init__", f"{kind}: {node.name}"


def test_examples_are_read_only_when_asked_for() -> None:
    names = {Example.of(kind).name for kind in examples()}
    assert not [name for shelf in SHELVES for name in shelf.names() if name in names]


def test_there_is_an_example_for_each_shelf_of_what_a_bench_compares() -> None:
    wanted = {"prompts", "selectors", "scorers", "heads", "learners", "methods", "datasets", "backbones", "taps"}
    assert wanted <= {Example.of(kind).shelf for kind in examples()}


@pytest.mark.parametrize("kind", examples())
def test_a_copy_under_another_name_works_as_it_is(stackclip: Run, kind: str, tmp_path: Path) -> None:
    made = stackclip(tmp_path, "new", kind, "of-mine")
    assert made.exit_code == 0, made.output
    path = tmp_path / "registry" / "of_mine.py"
    first, *commands = made.stdout.splitlines()
    assert first.startswith(f"{path} is yours now")
    assert [f" {command}" for command in Example.of(kind).under("of-mine").commands] == [
        command[command.index(str(tmp_path)) + len(str(tmp_path)) :] for command in commands
    ]
    assert not re.search(rf"{Example.of(kind).name}\b", path.read_text("utf-8"))
    checked = stackclip(tmp_path, "check", "of-mine")
    assert checked.exit_code == 0, checked.output
    assert f"({Example.of(kind).shelf}, {path}:" in checked.stdout


@pytest.mark.parametrize(
    ("kind", "name"), [("heads", "features"), ("data-set", "sample"), ("Method", "none-of-it"), ("head", "true")]
)
def test_any_name_makes_a_class_of_its_own(stackclip: Run, kind: str, name: str, tmp_path: Path) -> None:
    assert stackclip(tmp_path, "new", kind, name).exit_code == 0
    assert stackclip(tmp_path, "check", name).exit_code == 0


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        (
            "hed",
            "mine",
            "no example is there for 'hed' (did you mean 'head'?); there are backbone, dataset, head, learner",
        ),
        ("executor", "mine", "no example is there for 'executor'"),
        ("head", "My Head", "'My Head' is no name for a head; wanted small letters, digits and hyphens, as in my-head"),
        ("dataset", "../up", "'../up' is no name for a data set; wanted"),
        ("head", "8-layers", "is no name for a head"),
        ("head", "none", "is no name for a head"),
        ("head", "", "is no name for a head"),
        ("head", "linear", "linear is a head already, in stackclip/heads/projections.py:"),
        ("method", "fuzzy", "fuzzy is a prompt strategy already, in stackclip/prompts/fuzzy.py:"),
        ("prompt", "winclip", "winclip is a method already"),
    ],
)
def test_kinds_and_names_that_cannot_be_are_one_line(
    stackclip: Run, kind: str, name: str, said: str, tmp_path: Path
) -> None:
    refused = stackclip(tmp_path, "new", kind, name)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_never_overwritten(stackclip: Run, tmp_path: Path) -> None:
    path = tmp_path / "registry" / "my_head.py"
    path.parent.mkdir()
    path.write_text("# a draft\n")
    refused = stackclip(tmp_path, "new", "head", "my-head")
    assert refused.exit_code == 2
    assert refused.stderr == f"Error: {path} is there already and stays as it is: choose another name, or move it\n"
    assert path.read_text() == "# a draft\n"
    path.unlink()
    assert stackclip(tmp_path, "new", "head", "my-head").exit_code == 0
    again = stackclip(tmp_path, "new", "head", "my-head")
    assert f"my-head is a head already, in {path}:" in again.stderr


def test_without_a_workspace_there_is_no_place_for_it(stackclip: Run, tmp_path: Path) -> None:
    refused = stackclip(None, "new", "head", "my-head", env={"STACKCLIP_CACHE": str(tmp_path)})
    assert refused.exit_code == 2
    assert "no workspace to put it in; name a folder: stackclip --workspace DIR new head my-head" in refused.stderr


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a.png,cap,train,,", "line 2: wanted picture, category, split, defect, mask"),
        ("a.png,cap,dev,good,", "line 2: the split is 'dev', wanted train or test"),
        ("b.png,cap,test,good,", "line 2: there is no picture "),
        ("\x80", "samples.csv: "),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    text = f"picture,category,split,defect,mask\n{line}\n"
    (tmp_path / "samples.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError) as raised:
        datasets.create("picture-list").read(tmp_path, "x")
    assert str(tmp_path) in str(raised.value)
    assert said in str(raised.value)


def test_the_examples_are_part_of_what_is_installed() -> None:
    settings = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text("utf-8")
    assert '"examples/*.py"' in settings
    with pytest.raises(UsageError):
        Example.of("pyproject")


README = (Path(__file__).resolve().parents[2] / "registry" / "README.md").read_text("utf-8")
BLOCKS = {
    name: code
    for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    for name in re.findall(r'\.register\("([a-z-]+)"\)', code)
}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A workspace with all that the guide prints."""
    (tmp_path / "registry").mkdir()
    for name, code in BLOCKS.items():
        (tmp_path / "registry" / f"{name.replace('-', '_')}.py").write_text(code, "utf-8")
    return tmp_path


def test_the_guide_shows_a_method_a_head_a_data_set_and_a_prompt_strategy() -> None:
    assert set(BLOCKS) == {"class-probe", "two-probes", "sharp-linear", "ok-nok", "halves", "nearest-word"}


def test_the_components_of_the_guide_keep_what_they_promise_as_they_are_printed(written: Path) -> None:
    use_workspace(written / "registry")
    for name in BLOCKS:
        assert [finding for report in check(name) for finding in report.findings if not finding.passed] == []
    assert prompts.create("halves").stacks(("a", "b", "c"), None) == (("a", "b"), ("c",))


def test_the_components_of_the_guide_are_benched_as_they_are_printed(stackclip: Run, written: Path) -> None:
    for number, folder in enumerate(("ok", "ok", "nok", "nok")):
        for place in (folder, *(("marks",) if folder == "nok" else ())):
            (written / "data" / place).mkdir(parents=True, exist_ok=True)
            picture = Image.new("L", (56, 56), 0 if place == "marks" else 30 * number)
            picture.paste(255, (8, 8, 24, 24)) if folder == "nok" else None
            picture.save(written / "data" / place / f"{number}.png")
    words = (
        "--methods",
        "class-probe,two-probes,precise[head=sharp-linear],halves,nearest-word[by=pca]",
        "--test-on",
        "ok-nok",
    )
    done = stackclip(written, "bench", *words, "--data-root", str(written / "data"), "--json", env=SMALL)
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 5
    shown = stackclip(written, "bench", "--methods", "two-probes[shots=1]", "--json", env=SMALL)
    calibrated = [json.loads(line)["facts"]["calibrated"] for line in shown.stdout.splitlines()]
    assert [set(each) for each in calibrated] == [{"threshold"}] * 2
    checked = stackclip(written, "check", "ok-nok", "--data-root", str(written / "data"))
    assert "test 2 good + 2 defective, 2 masks; 4 of them were read" in checked.stdout


def test_the_guide_names_all_that_components_are_asked_for() -> None:
    for kind in examples():
        shelf = Example.of(kind).shelf
        (line,) = (line for line in README.splitlines() if line.startswith(f"| `{kind}` |"))
        assert set(ASKED.get(shelf, ())) <= set(re.findall(r"\w+", line)), kind


def test_a_method_that_trains_inside_the_tower_takes_less_than_sixty_lines_of_pieces(
    stackclip: Run, tmp_path: Path
) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "inside-the-tower.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(code.splitlines()) <= 60
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "light_touch.py").write_text(code, "utf-8")
    use_workspace(tmp_path / "registry")
    assert [finding for report in check("light-touch") for finding in report.findings if not finding.passed] == []
    done = stackclip(tmp_path, "bench", "--methods", "light-touch,april-gan", "--json", env=SMALL)
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["method"] for row in rows if not row["error"]} == {"light-touch", "april-gan"}
    named = re.findall(r"`(\w+)`(?:, `(\w+)`)?: .*? \| `(stackclip[\w.]+)` \|", page)
    for *pieces, module in named:
        assert all(hasattr(import_module(module), piece) for piece in pieces if piece)
    assert len(named) == 6
