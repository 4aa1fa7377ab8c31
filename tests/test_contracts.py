"""Every component keeps its contract, and a contract notices what is not kept."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image

from stackclip.clip import Tap
from stackclip.contracts import check, find_components
from stackclip.errors import BadOption, BrokenPlugin, UnknownComponent, UsageError
from stackclip.executors import Done
from stackclip.heads import Linear, Projections
from stackclip.methods import Composition, Detector, Method, PromptedDetector, Stage, resolve
from stackclip.prompts.fuzzy import Fuzzy
from stackclip.prompts.precise import Precise
from stackclip.registry import (
    SHELVES,
    Shelf,
    backbones,
    datasets,
    executors,
    forget,
    heads,
    learners,
    methods,
    prompts,
    scorers,
    selectors,
    taps,
    use_workspace,
    writers,
)
from stackclip.types import Part, Prediction

SMALLER = {
    "synthetic": "synthetic[categories=2,per_category=2,train_good=1]",
    "synthetic-logical": "synthetic-logical[size=64,categories=1,train_good=1,test_good=1,per_kind=1]",
}
pytestmark = pytest.mark.usefixtures("registry_as_it_was")
EVERY = [(shelf.kind, name) for shelf in SHELVES for name in shelf.names()]


@pytest.mark.parametrize(("shelf", "name"), EVERY, ids=[f"{shelf}/{name}" for shelf, name in EVERY])
def test_every_component_of_the_package_keeps_its_contract(shelf: str, name: str):
    if name in ("ray", "mlflow", "tensorboard", "wandb"):
        pytest.importorskip(name)
    reports = [report for report in check(SMALLER.get(name, name)) if report.component.shelf == shelf]
    assert len(reports) == 1
    assert [f"{finding.sentence}: {finding.detail}" for finding in reports[0].findings if not finding.passed] == []
    assert reports[0].passed


@pytest.mark.parametrize(
    "spec",
    [
        "stacked[clusters=2,max-clusters=2,source=image]",
        "stackclip[clusters=2,max-clusters=2,source=image,head=efa[weights-from=category,temperature=50]]",
        "clip[learner=rpl[deep=0,context=none]]",
        "sdp[stages=1+2,taps=released,image_score=inductive,select=kde]",
        "sdp-plus[layers=3,relu=true,stages=3+4]",
        "winclip[crops=true,fusion=sum]",
        "rpl[counting=layers,placing=replace,deep=8,template=picture-of,subject=object,lambda=100]",
        "bic",
    ],
)
def test_components_keep_their_contract_under_other_options(spec: str):
    for report in check(spec):
        assert [finding for finding in report.findings if not finding.passed] == []


def test_findings_are_sentences():
    for name in ("fuzzy", "mean", "penalty", "clip", "serial", "mvtec"):
        (report,) = check(name)
        sentences = [finding.sentence for finding in report.findings]
        assert len(set(sentences)) == len(sentences) >= 6
        assert all(len(sentence.split()) > 3 and "\n" not in sentence for sentence in sentences)


def test_checking_changes_no_global_random_state():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    for name in ("fuzzy", "mean", "penalty", "clip"):
        check(name)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


def failures(shelf: Shelf, factory: Callable[..., Any]) -> dict[str, str]:
    """What the contract finds wrong with a factory on a shelf: sentence to reason."""
    shelf.register("on-trial")(factory)
    (report,) = check("on-trial")
    assert all("\n" not in finding.detail for finding in report.findings)
    return {finding.sentence: finding.detail for finding in report.findings if not finding.passed}


def only(found: dict[str, str], *, sentence: str, reason: str) -> None:
    assert any(sentence in said and reason in why for said, why in found.items()), found


class LosesOne(Precise):
    """It forgets the last category."""

    def stacks(self, categories, encode):
        return (categories[:-1] or categories,)


class AddsEmpty(Precise):
    """It makes an empty stack."""

    def stacks(self, categories, encode):
        return (categories, ())


class TakesTwice(Precise):
    """It places a category on two stacks."""

    def stacks(self, categories, encode):
        return (categories, categories[:1])


class Random(Precise):
    """It shuffles with the global generator."""

    def stacks(self, categories, encode):
        return (tuple(random.sample(categories, len(categories))),)


class Braces(Precise):
    """It leaves a slot open."""

    def subject(self, category, group, *, seen):
        return "{}" if category == "t-shirt" else category


class Nameless(Precise):
    """It calls an unseen category nothing."""

    def subject(self, category, group, *, seen):
        return category if seen else " "


class Counting(Precise):
    """It counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def subject(self, category, group, *, seen):
        self.asked += 1
        return f"{category} {self.asked}"


class Leaves(Precise):
    """It ends the program."""

    def stacks(self, categories, encode):
        raise SystemExit("good bye")


class Takes(Precise):
    """It takes an option of the pipeline: `head`."""

    def __init__(self, *, head: str = "x") -> None: ...


class Endless(Precise):
    """Its overflow and its facts are none."""

    overflow = "whatever"

    def explain(self, categories, encode):
        return {"x": object()}


class SpacesOnly(Precise):
    """It does not expect spaces in a name."""

    def subject(self, category, group, *, seen):
        (word,) = category.split()
        return word


@pytest.mark.parametrize(
    ("strategy", "sentence", "reason"),
    [
        (LosesOne, "every category exactly once", "it placed bottle, metal nut; wanted each of bottle, metal nut, t"),
        (AddsEmpty, "none is empty", "it made an empty stack"),
        (TakesTwice, "every category exactly once", "wanted each of"),
        (Random, "always make the same stacks", "then"),
        (Random, "global random state", "it drew from, or seeded, the global state of random"),
        (Braces, "one line of text without braces", "'t-shirt' is called '{}', which has braces"),
        (Nameless, "one line of text", "the unseen category 'zipper' is called ' ', which is empty"),
        (Counting, "what was asked before", "asked in another order"),
        (Leaves, "every category exactly once", "SystemExit good bye"),
        (Leaves, "it trains and predicts in the pipeline", "SystemExit good bye"),
        (Takes, "name of one of the pipeline's", "head: the pipeline has an option of that name"),
        (Endless, "epochs, overflow and explain", "overflow is 'whatever', wanted error, truncate-names, chunk-mean"),
        (SpacesOnly, "one line of text", "ValueError: too many values to unpack"),
    ],
)
def test_a_strategy_that_breaks_a_promise_is_found_out(strategy: type, sentence: str, reason: str):
    only(failures(prompts, strategy), sentence=sentence, reason=reason)


class NoDoc(Fuzzy):
    __doc__ = None


class Unsaid(Precise):
    """It has options that nobody explains."""

    def __init__(self, *, depth: int = 1, seed: int = 0) -> None: ...


class Unmakable(Precise):
    """It cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("no\nway")


def test_promises_that_every_component_makes_are_tried_too():
    only(failures(prompts, NoDoc), sentence="docstring says what it is", reason="it has no docstring")
    forget(SHELVES)
    only(failures(selectors, Unsaid), sentence="names every option", reason="does not say what depth means")


def test_a_component_that_cannot_be_made_is_tried_no_further():
    prompts.register("on-trial")(Unmakable)
    (report,) = check("on-trial")
    assert not report.passed
    [detail] = [finding.detail for finding in report.findings if not finding.passed]
    assert detail.endswith(" cannot be made: RuntimeError: no way")
    assert report.findings[-1].sentence.startswith("it can be made")


def a_selector(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], Any]:
    def made() -> Any:
        """A selector on trial."""
        return function

    return made


def _in_place(features: torch.Tensor) -> torch.Tensor:
    features /= features.norm(dim=-1, keepdim=True)
    mean = features.mean(0)
    return mean / mean.norm()


@pytest.mark.parametrize(
    ("function", "sentence", "reason"),
    [
        (lambda f: f.mean(0), "unit length", "the length of the vector of 1 features and 1"),
        (lambda f: f, "one vector", "it made (1, 96), wanted (96,)"),
        (lambda f: torch.nn.functional.normalize(f[0], dim=0), "order of the phrases", "in another order"),
        (lambda f: -torch.nn.functional.normalize(f.mean(0), dim=0), "that feature's direction", "apart"),
        (_in_place, "leaves features", "it changed the features that it was given"),
        (lambda f: torch.nn.functional.normalize(torch.randn(96), dim=0), "the same vector again", "global state of"),
        (lambda f: f.mean(0) * float("nan"), "unit length", "NaN"),
    ],
)  # fmt: skip
def test_a_selector_that_breaks_a_promise_is_found_out(function: Any, sentence: str, reason: str):
    only(failures(selectors, a_selector(function)), sentence=sentence, reason=reason)


@pytest.mark.parametrize(
    ("price", "sentence", "reason"),
    [
        (lambda p, labels: float("nan"), "finite number", "is nan, wanted a finite number"),
        (lambda p, labels: p.mean(0), "finite number", "wanted a finite number"),
        (lambda p, labels: float(labels @ np.arange(9)), "numbered", "numbered otherwise"),
        (lambda p, labels: np.random.rand(), "same price again", "then"),
    ],
)  # fmt: skip
def test_a_scorer_that_breaks_a_promise_is_found_out(price: Any, sentence: str, reason: str):
    def made() -> Any:
        """A scorer on trial."""
        return price

    found = failures(scorers, made)
    assert any(sentence in said for said in found), found
    assert any(reason in why or "global state of numpy" in why for why in found.values()), found


class Unweighted(Projections):
    """Its weights do not sum to 1, and its maps depend on the batch."""

    def weights(self, features, keys):
        return super().weights(features, keys) * 2

    def maps(self, features, anchors, weights):
        maps = super().maps(features, anchors, weights)
        return maps - maps.mean(0)


class Deaf(Projections):
    """A parameter is never trained, and loading brings nothing back."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.unused = torch.nn.Parameter(torch.randn(2))
        self.offset = float(torch.rand(()))

    def maps(self, features, anchors, weights):
        return super().maps(features, anchors, weights) + self.offset


@pytest.mark.parametrize(
    ("module", "sentence", "reason"),
    [
        (Unweighted, "sum to 1", "the weights of 1 stack(s) and 1: 1 apart"),
        (Unweighted, "does not depend on its batch", "the map of picture 0 alone and in its batch"),
        (Deaf, "gradient reaches every parameter", "no gradient reaches unused"),
        (Deaf, "one seed gives one set of weights", "global state of torch"),
        (Deaf, "state_dict brings the same maps back", "apart"),
    ],
)
def test_a_head_that_breaks_a_promise_is_found_out(module: type[Projections], sentence: str, reason: str):
    class Trial(Linear):
        """A head on trial, with `temperature` and `weights_from`."""

        def build(self, tower, stacks, *, seed):
            return module(tower, 1, seed=seed)

    only(failures(heads, Trial), sentence=sentence, reason=reason)


class Wrapped(Method):
    """APRIL-GAN, with something wrong in a detector of its own."""

    def __init__(self, wrong: type[PromptedDetector]) -> None:
        self.inner, self.wrong = resolve("fuzzy"), wrong

    def needs(self, tower, phase):
        return self.inner.needs(tower, phase)

    def begin(self, task):
        return self.wrong(self.inner, task)


class Noisy(PromptedDetector):
    """Its scores are drawn, and NaN stands in its maps."""

    def predict(self, features):
        maps = super().predict(features).maps
        return Prediction(torch.rand(len(features)), maps / 0 * 0)


class Silent(PromptedDetector):
    """It gives no scores, without a reason, and learns the wrong way."""

    def predict(self, features):
        return Prediction(None, super().predict(features).maps)

    def step(self, features, at):
        for group in self._maps._optimiser.param_groups:
            group["lr"] = -1e-3
        return super().step(features, at)


class Relative(PromptedDetector):
    """Its scores depend on the batch, and it keeps nothing of what it learned."""

    def predict(self, features):
        found = super().predict(features)
        return Prediction(found.scores / found.scores.sum(), found.maps[:, :4])

    def state_dict(self, *arguments: Any, **options: Any) -> dict[str, torch.Tensor]:
        return {}

    def load_state_dict(self, *arguments: Any, **options: Any) -> None: ...


class Restarting(PromptedDetector):
    """Its optimiser begins anew where a training goes on."""

    def training_state(self):
        return {}

    def load_training_state(self, state): ...


@pytest.mark.parametrize(
    ("wrong", "sentence", "reason"),
    [
        (Noisy, "scores and maps are finite", "maps hold NaN or infinity"),
        (Noisy, "one seed gives one prediction", "global state of torch"),
        (Silent, "or missing for a reason", "no scores, and why_no_scores is empty"),
        (Silent, "its loss does not rise", "the loss went from"),
        (Relative, "does not depend on its batch", "a picture alone and in its batch, scores"),
        (Relative, "of the right shape", "maps have the shape (6, 4, 32), wanted (6, 32, 32)"),
        (Relative, "can be saved and loaded", "after loading its state_dict"),
        (Restarting, "goes on with the same digits", "a training that was stopped in stage prompts and went on"),
    ],
)
def test_a_method_that_breaks_a_promise_is_found_out(wrong: type[PromptedDetector], sentence: str, reason: str):
    def made() -> Any:
        """A method on trial."""
        return Wrapped(wrong)

    only(failures(methods, made), sentence=sentence, reason=reason)


class Forgetful(PromptedDetector):
    """It takes shots, and forgets them."""

    def __init__(self, method, task):
        super().__init__(method, replace(task, shots=0))

    def on(self, category, shots, normals):
        return self


def test_a_method_that_takes_shots_and_ignores_them_is_found_out():
    def made() -> Any:
        """A method on trial."""
        return Wrapped(Forgetful)

    found = failures(methods, made)
    assert list(found) == ["it takes shots and predicts by them, or refuses them with a reason"]
    assert list(found.values()) == [
        "it takes shots, and predicts the same whatever it is shown: use them, or refuse them"
    ]


def test_a_method_that_waits_for_a_batch_of_its_own_keeps_its_contract():
    class Waiting(PromptedDetector):
        """It steps on every second batch."""

        def step(self, features, at):
            return super().step(features, at) if at.step % 2 else {}

    def made() -> Any:
        """A method on trial."""
        return Wrapped(Waiting)

    assert failures(methods, made) == {}


def test_stages_that_none_can_follow_are_found_out():
    class Endless(Detector):
        """It steps on batches of no pictures."""

        stages = (Stage("all", epochs=1, batch=0),)

    class Batchless(Method):
        """It needs nothing."""

        def needs(self, tower, phase):
            return frozenset()

        def begin(self, task):
            return Endless()

    only(failures(methods, Batchless), sentence="it begins on one", reason="its stage all has batches of 0")


class Bare:
    """It has nothing that any shelf asks for."""


class Bodiless:
    """A head, a learner and a method that make something which can do nothing."""

    weighting, epochs, lr, overflow = "test-prompt", 1, 1e-3, "error"

    def needs(self, tower, phase=""):
        return frozenset(tower.taps)

    def check(self, tower): ...

    def fits(self, text, subject):
        return len(subject) < 100

    def build(self, *arguments, **options):
        return torch.nn.Linear(2, 2)

    begin = build


@pytest.mark.parametrize(
    ("shelf", "factory", "reason"),
    [
        (methods, Bare, "it lacks needs, begin"),
        (prompts, Bare, "it lacks stacks, subject"),
        (heads, Bare, "it lacks weighting, needs, build"),
        (learners, Bare, "it lacks epochs, lr, overflow, needs, fits, build"),
        (selectors, Bare, "it lacks __call__"),
        (scorers, Bare, "it lacks __call__"),
        (datasets, Bare, "it lacks tree, read"),
        (backbones, Bare, "it lacks load"),
        (executors, Bare, "it lacks workers, apart, hired"),
        (writers, Bare, "it lacks write"),
        (heads, Bodiless, "what it builds lacks loss, weights, maps"),
        (learners, Bodiless, "what it builds lacks facts, loss, scores"),
        (
            methods,
            Bodiless,
            "what it begins is a subclass of stackclip.methods.Detector: it lacks stages, facts, takes_shots, step, "
            "on, training_state, load_training_state",
        ),
    ],
)
def test_what_a_component_lacks_is_named_once(shelf: Shelf, factory: type, reason: str):
    assert list(failures(shelf, factory).values()) == [reason]


def test_an_option_that_names_a_component_without_saying_so_is_found_out():
    class Untyped(Fuzzy):
        """It selects by `select`, a `word` and a `kind`."""

        def __init__(self, *, chosen: str = "kde", word: str = "part", kind: Literal["mean", "pca"] = "mean") -> None:
            """Take them."""

    only(
        failures(prompts, Untyped),
        sentence="say so where they name components",
        reason="chosen=kde names one of selectors: write Annotated[str, From(selectors)]",
    )


def test_a_writer_that_leaves_out_names_or_lets_them_act_is_found_out():
    class Careless:
        """It writes the methods of tables as they are, and what was asked for last."""

        asked = 0

        def write(self, document):
            Careless.asked += 1
            return "\n".join(
                [f"{line.category}" for table in document.tables for line in table.lines] + ["."] * self.asked
            )

    found = failures(writers, Careless)
    only(found, sentence="names every method", reason="precise is not in what it writes")
    only(found, sentence="the same way again", reason="one document gives two texts")
    only(found, sentence="acts on whoever shows", reason=r"'\x1b'")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two categories in MVTec's layout."""
    for category in ("cap", "nut"):
        for kind, shade in (("good", 90), ("bent", 150)):
            for place in (f"test/{kind}/0.png", "train/good/0.png", "ground_truth/bent/0_mask.png"):
                path = tmp_path / "mvtec" / category / place
                path.parent.mkdir(parents=True, exist_ok=True)
                picture = Image.new("RGB", (32, 32), (shade, 40, 9))
                if "mask" in place:
                    picture = Image.new("L", (32, 32))
                    picture.paste(255, (4, 4, 12, 12))
                picture.save(path)
    return tmp_path


def of_pictures(data_root: Path) -> tuple[bool, str]:
    """Whether `mvtec` reads what lies there, and what is said of it."""
    (report,) = check("mvtec", data_root=data_root)
    assert report.findings[-1].sentence == "what lies below --data-root is read, with pictures and masks"
    return report.findings[-1].passed, report.findings[-1].detail


def test_a_data_set_is_tried_on_its_own_pictures_where_they_are(pictures: Path):
    passed, said = of_pictures(pictures)
    assert passed
    assert "2 categories (cap, nut), train 2 good, test 2 good + 2 defective" in said
    assert said.endswith("; 6 of them were read")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("cap/test/good/0.png", b"no picture", "0.png"),
        ("nut/ground_truth/bent/0_mask.png", None, "0_mask.png"),
        ("nut/ground_truth/bent/0_mask.png", b"black", "is anomalous, and nothing is in its mask"),
    ],
)
def test_pictures_and_masks_that_cannot_be_used_are_found(pictures: Path, file: str, content: bytes | None, said: str):
    path = pictures / "mvtec" / file
    path.unlink()
    if content == b"black":
        Image.new("L", (32, 32)).save(path)
    elif content is not None:
        path.write_bytes(content)
    passed, reason = of_pictures(pictures)
    assert not passed
    assert said in reason


def test_a_place_without_the_data_set_and_a_component_that_reads_none_are_said(tmp_path: Path):
    passed, reason = of_pictures(tmp_path)
    assert not passed
    assert "mvtec: not found at" in reason
    with pytest.raises(UsageError, match="fuzzy is a prompt strategy and reads no --data-root"):
        check("fuzzy", data_root=tmp_path)


def test_a_data_set_that_names_two_pictures_alike_is_found_out(pictures: Path):
    class Doubled(type(datasets.create("mvtec"))):
        """MVTec twice."""

        def read(self, root, name):
            return super().read(root, name) * 2

    datasets.register("doubled")(Doubled)
    (report,) = check("doubled", data_root=pictures / "mvtec")
    assert "two samples have one id, cap/" in report.findings[-1].detail


def test_a_method_that_needs_what_no_tower_gives_is_found_out():
    class Needy(Method):
        """It needs the hundredth layer."""

        def needs(self, tower, phase):
            return frozenset({Part("patch", 100)})

        def begin(self, task):
            raise RuntimeError("it never begins")

    found = failures(methods, Needy)
    only(found, sentence="parts that a tower can give", reason="has no part patch/100")
    only(found, sentence="it begins", reason="RuntimeError: it never begins")


class Fair(Tap):
    """The patches after block N."""

    source = "this test"

    def shape(self, tower, part):
        return (tower.grid**2, tower.width) if 1 <= part.index <= tower.depth else None

    def read(self, sight, part, carried):
        return sight.after[:, 1:]


class Writes(Fair):
    """It turns the tokens of all others round."""

    def read(self, sight, part, carried):
        return sight.after.neg_()[:, 1:]


class WritesOnTheWay(Fair):
    """It adds up where the block before is still wanted."""

    def blocks(self, tower, part):
        return range(1, part.index + 1)

    def carry(self, sight, carried):
        return sight.before.add_(1)


class Remembers(Fair):
    """It gives less each time."""

    times = 1

    def read(self, sight, part, carried):
        self.times += 1
        return sight.after[:, 1:] / self.times


class Larger(Fair):
    """It gives the class token too."""

    def read(self, sight, part, carried):
        return sight.after


class Infinite(Fair):
    """It divides by nothing."""

    def read(self, sight, part, carried):
        return sight.after[:, 1:] / 0


class Everywhere(Fair):
    """It has every part that is asked for."""

    def shape(self, tower, part):
        return (tower.grid**2, tower.width)


class Nowhere(Fair):
    """It has none."""

    def shape(self, tower, part):
        return None


class Beyond(Fair):
    """It looks behind the last block."""

    def blocks(self, tower, part):
        return range(1, tower.depth + 2)


class Sourceless(Fair):
    """Nobody's."""

    source = " "


class Free:
    """It is no tap at all."""


@pytest.mark.parametrize(
    ("tap", "sentence", "reason"),
    [
        (Writes, "changes no other part", "is another when it is asked for too"),
        (WritesOnTheWay, "changes no other part", "is another when it is asked for too"),
        (Remembers, "the same to the bit", "on-trial/1 asked for twice"),
        (Larger, "have the shapes", "gives (4, 17, 128) for on-trial/1, wanted a tensor of shape (4, 16, 128)"),
        (Infinite, "are finite", "on-trial/1 holds NaN or infinity"),
        (Everywhere, "none of an index that no tower has", "for the index 1000000 its shape is (16, 128)"),
        (Nowhere, "it has parts of a small tower", "has none of its parts"),
        (Beyond, "have the shapes", "names range(1, 10) as the blocks of on-trial/1, wanted some of 0 to 8"),
        (Sourceless, "says where it comes from", "its `source` is empty"),
        (Free, "it is a tap", "it is a Free, wanted a stackclip.clip.Tap"),
    ],
)
def test_a_way_through_the_tower_that_breaks_a_promise_is_found_out(tap: type, sentence: str, reason: str):
    only(failures(taps, tap), sentence=sentence, reason=reason)


def test_a_fair_way_through_the_tower_passes():
    assert failures(taps, Fair) == {}


def test_a_way_that_is_called_like_another_is_found_out():
    taps.register("patch7")(Fair)
    (report,) = check("patch7")
    assert report.passed
    taps.register("vv-from9")(type("Nine", (Fair,), {"__doc__": "Another v-v path."}))
    (report,) = check("vv-from9")
    details = {finding.sentence: finding.detail for finding in report.findings if not finding.passed}
    ours = "parts of that name are those of tap 'vv-from' (stackclip/clip/taps/vv_from.py"
    assert ours in details["parts of its name are its own"]


def test_other_shelves_are_tried_too():
    class Careless:
        """It forgets every third job and swallows what they raise."""

        workers, apart = 1, False

        @contextmanager
        def hired(self, do):
            def run(ask, told):
                number = 0
                while (job := ask()) is not None:
                    number += 1
                    try:
                        result = None if number % 3 == 0 else do(job, lambda done, of: None)
                    except Exception:
                        result = None
                    yield Done(job, result or 0)

            yield run

    class Untidy:
        """A data set that finds something everywhere and shows no tree."""

        tree = ""

        def read(self, root, name):
            return (1, 2)

    class Hollow:
        """A backbone without a tower."""

        def load(self, *, image_size, layers, device, precision):
            return "tower"

    only(
        failures(executors, Careless),
        sentence="it does all jobs",
        reason="the jobs [0, 1, 2, 3, 4, 5, 6] gave {0: 0, 1:",
    )
    forget(SHELVES)
    found = failures(datasets, Untidy)
    only(found, sentence="shows the tree", reason="it has no `tree`")
    only(found, sentence="an empty folder", reason="it made 2 samples")
    forget(SHELVES)
    only(failures(backbones, Hollow), sentence="its parts are finite", reason="load() gave a str, wanted a Tower")


def test_a_component_of_the_workspace_is_checked_by_its_name(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from stackclip.registry import prompts\nfrom stackclip.prompts.precise import Precise\n\n"
        "@prompts.register('mine')\nclass Mine(Precise):\n    '''Mine.'''\n"
    )
    (tmp_path / "broken.py").write_text("1 / 0\n")
    use_workspace(tmp_path)
    assert [report.passed for report in check("mine")] == [True]
    with pytest.raises(BrokenPlugin, match="ZeroDivisionError"):
        check("broken")


def test_a_name_on_two_shelves_has_two_reports():
    prompts.register("both")(Precise)
    methods.register("both")(Composition("precise", "A method."))
    assert [component.shelf for component in find_components("both")] == ["prompts", "methods"]
    assert [report.component.shelf for report in check("both")] == ["prompts", "methods"]


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("stakced", UnknownComponent, r"no component is named 'stakced' \(did you mean 'stacked'\?\)"),
        ("stacked[cluster=2]", BadOption, r"no option 'cluster' \(did you mean 'clusters'\?\)"),
        ("stacked[", UsageError, "cannot read"),
    ],
)
def test_a_name_that_leads_nowhere_is_a_usage_error(name: str, error: type[UsageError], said: str):
    with pytest.raises(error, match=said):
        check(name)
