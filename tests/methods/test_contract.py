"""What the base classes do for a method, what our methods say by them, and that a training goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stackclip.contracts import check
from stackclip.contracts.trial import CATEGORIES, features_of, task_of, trial_tower
from stackclip.errors import NotApplicable, WeightsError
from stackclip.methods import PHASES, Detector, Inspector, Method, Moment, Stage, Task, resolve
from stackclip.registry import methods
from stackclip.training.checkpoints import checkpoint_of, resume
from stackclip.training.trainee import Trainee
from stackclip.types import CLS, Features, Part, Prediction, TowerSpec
from tests.methods.conftest import same, trained

At = Callable[..., Moment]
pytestmark = pytest.mark.usefixtures("registry_as_it_was")


class FirstNumber(Method):
    """The first number of the class token, without training."""

    def needs(self, tower: TowerSpec, phase: str) -> frozenset[Part]:
        return frozenset({CLS} if phase == "test" else ())

    def begin(self, task: Task) -> Detector:
        return FirstNumberDetector()


class FirstNumberDetector(Detector):
    def predict(self, features: Features) -> Prediction:
        return Prediction(features[CLS][:, 0], None, why_no_maps="it is one number")


@pytest.fixture
def features() -> Features:
    return features_of(frozenset({CLS}), CATEGORIES)


def test_a_method_without_training_says_needs_begin_and_predict_alone():
    methods.register("first-number")(FirstNumber)
    (report,) = check("first-number")
    assert [finding for finding in report.findings if not finding.passed] == []


def test_the_defaults_learn_nothing_take_no_shots_and_leave_scores_as_they_are(features: Features, at: At):
    detector = FirstNumber().begin(task_of())
    assert (detector.stages, dict(detector.facts), dict(detector.calibrated)) == ((), {}, {})
    assert not detector.takes_shots
    assert detector.on("bottle", iter([features]), iter(())) is detector
    assert detector.training_state() == {}
    scores = torch.tensor([0.3, 0.1])
    assert torch.equal(detector.settle(scores, None), scores)
    assert FirstNumber().check(trial_tower().spec) is None
    with pytest.raises(NotApplicable, match="learns nothing"):
        detector.step(features, at(detector))
    with pytest.raises(NotApplicable, match=r"one category at a time, behind on\(\)"):
        Detector().predict(features)


def test_a_detector_that_says_on_takes_shots():
    class Shown(Detector):
        def on(self, category: str, shots: Any, normals: Any) -> Inspector:
            return Inspector()

    assert Shown().takes_shots


class Wavering(Detector):
    """It learns by Adam at a rate that falls, from class tokens with noise; all that is state is an attribute."""

    stages = (Stage("all", epochs=6, batch=6),)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(trial_tower().spec.joint))
        self.optimiser = torch.optim.Adam(self.parameters(), lr=0.1)
        self.rates = torch.optim.lr_scheduler.MultiStepLR(self.optimiser, milestones=[2, 4], gamma=0.5)
        self.draws = torch.Generator().manual_seed(0)

    def step(self, features: Features, at: Moment) -> dict[str, float]:
        tokens = features[CLS] + torch.randn(features[CLS].shape, generator=self.draws)
        labels = torch.tensor(features.labels, dtype=torch.float32)
        loss = F.binary_cross_entropy_with_logits(tokens @ self.weight, labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        if at.last:
            self.rates.step()
        return {"loss": loss.item()}


@pytest.mark.parametrize("stop", range(1, 6))
def test_optimisers_schedules_and_generators_that_are_attributes_go_on_by_themselves(features: Features, stop: int):
    assert set(Wavering().training_state()) == {"optimiser", "rates", "draws"}
    whole, stopped, resumed = (
        Trainee("on-trial", Wavering(), features.samples, frozenset(features.parts)) for _ in range(3)
    )
    checkpoint = checkpoint_of(trained(stopped, features, stop, size=len(features)), {})
    assert checkpoint.facts["progress"]["epoch"] == stop
    resume(resumed, checkpoint)
    trained(resumed, features, 6 - stop, size=len(features))
    same(resumed, trained(whole, features, 6, size=len(features)))
    assert resumed.working.optimiser.param_groups[0]["lr"] == 0.1 * 0.5**2


def test_without_the_state_of_its_training_it_would_learn_otherwise(features: Features):
    whole, forgetful = (Trainee("on-trial", Wavering(), features.samples, frozenset(features.parts)) for _ in range(2))
    trained(whole, features, 1, size=len(features))
    forgetful.working.load_state_dict(whole.working.state_dict())
    trained(whole, features, 2, size=len(features))
    trained(forgetful, features, 2, size=len(features))
    assert whole.losses[1:] != forgetful.losses


@pytest.mark.parametrize(
    "spec",
    [
        "stackclip[clusters=2,epochs=4,learner=rpl[epochs=2]]",  # the head beside the learner, then alone
        "stackclip[clusters=2,epochs=2,learner=rpl[epochs=4]]",  # the learner beside the head, then alone
        "clip[learner=rpl[epochs=4]]",
        "april-gan[epochs=4]",
        "sdp-plus[epochs=4]",
        "anomalyclip[epochs=4]",
        "cocoop[epochs=4]",
        "adaclip[epochs=4]",
        "visualad[epochs=4]",
    ],
)
@pytest.mark.parametrize("stop", [1, 3])
def test_our_methods_go_on_with_the_same_digits_wherever_they_stopped(goes_on: Any, spec: str, stop: int):
    method = resolve(spec)
    features = features_of(method.needs(trial_tower().spec, "train"), CATEGORIES)
    resumed, whole = goes_on(spec, features, stop, epochs=4, size=len(features))
    assert resumed.finished
    assert resumed.working.facts == whole.working.facts
    tested = features_of(method.needs(trial_tower().spec, "test"), CATEGORIES, seed=1)
    one, other = (each.working.predict(tested) for each in (resumed, whole))
    assert torch.equal(one.scores, other.scores)
    assert (one.maps is None and other.maps is None) or torch.equal(one.maps, other.maps)


@pytest.mark.parametrize(
    ("spec", "names", "batch"),
    [
        ("precise", ["prompts"], 16),
        ("stackclip", ["prompts"], 16),
        ("clip[learner=rpl]", ["prompts"], 16),
        ("april-gan", ["prompts"], 8),
        ("sdp-plus", ["head"], 8),
        ("anomalyclip", ["prompts"], 8),
        ("cocoop", ["prompts"], 1),
        ("adaclip", ["prompts"], 1),
        ("visualad", ["tokens"], 8),
    ],
)
def test_each_method_has_its_own_batch_size_unless_the_task_says_another(spec: str, names: list[str], batch: int):
    for given, wanted in ((None, batch), (5, 5)):
        detector = resolve(spec).begin(task_of(batch_size=given))
        assert [stage.name for stage in detector.stages] == names
        assert {stage.batch for stage in detector.stages} == {wanted}
        assert {each["batch"] for each in detector.facts["schedule"].values()} == {wanted}


@pytest.mark.parametrize("spec", ["clip", "sdp", "clip-surgery", "clip-direct", "winclip"])
def test_a_method_without_training_has_no_stage(spec: str):
    assert resolve(spec).begin(task_of()).stages == ()
    assert resolve(spec).begin(task_of(epochs=3)).stages == ()


def test_a_stage_takes_the_epochs_of_the_task_also_where_they_are_none():
    assert task_of().stage("head", epochs=3, batch=8) == Stage("head", 3, 8)
    assert task_of(epochs=0, batch_size=2).stage("head", epochs=3, batch=8) == Stage("head", 0, 2)


@pytest.mark.parametrize("name", ["april-gan", "sdp-plus"])
def test_needs_reads_no_file_and_check_reads_it(tmp_path: Path, name: str):
    (tmp_path / "x.pth").write_bytes(b"no weights")
    method, tower = resolve(f"{name}[weights={tmp_path / 'x.pth'}]"), trial_tower().spec
    for phase in PHASES:
        assert method.needs(tower, phase) == resolve(name).needs(tower, phase)
    with pytest.raises(WeightsError, match=r"x\.pth"):
        method.check(tower)
    (tmp_path / "x.pth").unlink()
    assert method.needs(tower, "test")
