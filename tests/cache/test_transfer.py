"""What is asked of a CUDA device, in which order: nothing waits for it before the host needs what it computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stackclip.cache import Store, extract, transfer
from stackclip.types import CLS, GOOD, NORMAL, Part, Sample, TowerSpec, patch

SPEC = TowerSpec(name="Double/16", image_size=16, grid=4, depth=3, width=8, joint=6, layers=(1, 2, 3))


class Device:
    """A tower that says that it is on a GPU, and writes down what is asked of that."""

    spec, picture_range, device = SPEC, "auto", torch.device("cuda")

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.batches = self.events = 0
        copy, empty = torch.Tensor.copy_, torch.empty
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: self.pinned(tensor))
        monkeypatch.setattr(torch.Tensor, "copy_", lambda *given, **how: self.copied(copy, *given, **how))
        monkeypatch.setattr(torch, "empty", lambda *given, pin_memory=False, **how: empty(*given, **how))
        monkeypatch.setattr(torch.cuda, "Event", self.event)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")

    def prepare(self, image: Image.Image) -> Any:
        return np.asarray(image.resize((16, 16)), np.float32).transpose(2, 0, 1)

    def pinned(self, tensor: torch.Tensor) -> torch.Tensor:
        self.asked.append("pin")
        return tensor

    def encode(self, pictures: torch.Tensor, parts: Any) -> dict[Part, torch.Tensor]:
        self.batches += 1
        self.asked.append(f"encode {self.batches}")
        mean = pictures.mean((1, 2, 3))
        shapes = {CLS: (6,), patch(1): (16, 8)}
        return {part: mean.reshape(-1, *[1] * len(shapes[part])).expand(-1, *shapes[part]) for part in parts}

    def copied(self, copy: Any, into: torch.Tensor, what: torch.Tensor, *, non_blocking: bool = False) -> torch.Tensor:
        assert what.dtype == into.dtype == torch.float16  # halved before it travels
        self.asked.append(f"copy back {self.batches}{'' if non_blocking else ' and wait'}")
        given: torch.Tensor = copy(into, what)
        return given

    def event(self) -> Any:
        self.events += 1
        number, device = self.events, self

        class Event:
            def record(self, stream: str) -> None:
                assert stream == "stream of cuda"  # and not of the device that happens to be current
                device.asked.append(f"mark {number}")

            def synchronize(self) -> None:
                device.asked.append(f"wait for {number}")

        return Event()


def samples_in(folder: Path, count: int) -> list[Sample]:
    found = []
    for index in range(count):
        path = folder / f"{index}.png"
        Image.fromarray(np.full((16, 16, 3), 10 * index, np.uint8)).save(path)
        found.append(Sample(path.name, "double", "plate", "test", path, None, NORMAL, GOOD))
    return found


def new_store(folder: Path) -> Store:
    return Store.create(folder, {"model": SPEC.name}, spec=SPEC, recorded={})


def test_a_batch_is_started_before_the_one_before_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, store, samples = Device(monkeypatch), new_store(tmp_path / "store"), samples_in(tmp_path, 5)
    report = extract(store, device, samples, {CLS}, batch_size=2, workers=1)
    assert (report.encoded, report.failed) == (5, ())
    started = [["pin", f"encode {n}", f"copy back {n}", f"mark {n}"] for n in (1, 2, 3)]
    assert device.asked == [*started[0], *started[1], "wait for 1", *started[2], "wait for 2", "wait for 3"]
    assert (store.read(samples, CLS) == np.arange(0, 50, 10)[:, None]).all()


def test_what_a_device_computed_is_kept_where_something_ends_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, store, samples = Device(monkeypatch), new_store(tmp_path / "store"), samples_in(tmp_path, 6)

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(store, device, samples, {CLS, patch(1)}, batch_size=2, workers=1, progress=stop)
    assert device.asked[-1] == "wait for 2"
    assert (store.read(samples[:4], patch(1)) == np.arange(0, 40, 10)[:, None, None]).all()


def test_a_tower_without_a_device_is_waited_for_at_once() -> None:
    class Plain:
        spec, picture_range = SPEC, "auto"

        def prepare(self, image: Any) -> Any: ...

        def encode(self, pictures: torch.Tensor, parts: Any) -> dict[Part, torch.Tensor]:
            return dict.fromkeys(parts, pictures[:, 0, 0])

    assert not transfer.is_awaited(Plain())
    coming = transfer.sent(Plain(), [np.ones((3, 16, 16), np.float32)] * 2, (CLS,))
    assert coming()[CLS].dtype == np.float16
    assert coming()[CLS].shape == (2, 16)
