"""Event files are read back as TensorBoard reads them."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from stackclip.errors import UsageError
from stackclip.registry import trackers
from stackclip.trackers import Notice, Value

accumulators = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="TensorBoard is not installed: pip install stackclip[tensorboard]",
)
NOTICE = Notice(
    "ab12cd34ef",
    "sdp trained on ../</script> seed 0",
    {"method": "<b>`x\n\x1b[2J"},
    (Value("train/loss", 2.0, 1), Value("train/loss", 1.0, 2), Value("mvtec/größe/image_AUROC", 0.5)),
)


def test_a_folder_has_the_facts_and_the_numbers_with_their_steps(tmp_path: Path) -> None:
    tracker = trackers.create(f"tensorboard[folder={tmp_path / 'events'}]")
    tracker.log(NOTICE)
    [folder] = (tmp_path / "events").iterdir()
    assert folder.name.endswith(" ab12cd34")
    for written in ("before", "after"):  # a bench that is killed has left all that was logged
        found = accumulators.EventAccumulator(str(folder))
        found.Reload()
        assert {*found.Tags()["scalars"]} == {"train/loss", "mvtec/größe/image_AUROC"}, written
        assert [(each.step, each.value) for each in found.Scalars("train/loss")] == [(1, 2.0), (2, 1.0)]
        [facts] = found.Tensors("facts/text_summary")
        assert facts.tensor_proto.string_val == [b"    method: <b>`x\\n\\x1b[2J"]
        tracker.close()
    assert [*tmp_path.iterdir()] == [tmp_path / "events"]


def test_numbers_of_one_run_lie_in_one_folder(tmp_path: Path) -> None:
    tracker = trackers.create(f"tensorboard[folder={tmp_path}]")
    tracker.log(NOTICE)
    tracker.log(Notice(NOTICE.run, NOTICE.title, NOTICE.facts, (Value("visa/pcb/image_AP", 0.25),)))
    tracker.log(Notice("ff", NOTICE.title, NOTICE.facts, (Value("visa/pcb/image_AP", 0.75),)))
    tracker.close()
    numbers = []
    for folder in sorted(tmp_path.iterdir()):
        found = accumulators.EventAccumulator(str(folder))
        found.Reload()
        numbers += [each.value for each in found.Scalars("visa/pcb/image_AP")]
    assert numbers == [0.25, 0.75]


def test_without_tensorboard_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r'which is not installed: pip install "stackclip\[tensorboard\]"'):
        trackers.create("tensorboard")


def test_few_of_many_runs_are_open_and_each_has_its_facts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackclip.trackers.tracker.MOST_OPEN", 2)
    tracker = trackers.create(f"tensorboard[folder={tmp_path}]")
    before = threading.active_count()
    for place in ("a", "b"):
        for run in ("one", "two", "three", "four"):
            tracker.log(Notice(run, run, {"method": run}, (Value(f"{place}/image_AP", 0.25),)))
            assert threading.active_count() - before <= 2
    tracker.close()
    for folder in tmp_path.iterdir():
        found = accumulators.EventAccumulator(str(folder))
        found.Reload()
        assert {*found.Tags()["scalars"]} == {"a/image_AP", "b/image_AP"}
        assert len(found.Tensors("facts/text_summary")) == 1
    assert len([*tmp_path.iterdir()]) == 4
