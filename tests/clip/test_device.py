"""Device and precision by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress

import pytest
import torch

from stackclip.clip.device import (
    _Settled,
    bf16_share,
    choose_device,
    choose_precision,
    flush_denormals,
    plain_attention,
    settle_threads,
)
from stackclip.errors import UsageError


def test_auto_is_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"


def test_auto_precision_follows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_precision("auto", torch.device("cpu")) == "fp32"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert choose_precision("auto", torch.device("cuda")) == "bf16"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert choose_precision("auto", torch.device("cuda")) == "fp16"
    assert choose_precision("fp32", torch.device("cuda")) == "fp32"


def test_a_device_that_is_not_here_is_refused_with_one_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="cuda:1 was asked for, this machine has 1: use --device cpu"):
        choose_device("cuda:1")
    with pytest.raises(UsageError, match="'gpu' is no device"):
        choose_device("gpu")


@pytest.mark.parametrize(
    "name",
    [
        "xpu",
        "meta",
        "mps",
        "cuda:9",
        "hpu",
        "xla",
        "vulkan",
        "ipu",
        "mtia",
        "lazy",
        "opengl",
        "mkldnn",
        "privateuseone",
    ],
)
def test_a_device_that_torch_can_spell_and_not_compute_on_is_refused_in_one_line(name: str) -> None:
    with suppress(Exception), warnings.catch_warnings(action="ignore"):
        torch.ones(1, device=name).add(1).item()
        pytest.skip(f"this machine has {name}")
    with pytest.raises(UsageError, match=rf"^'?{name}.*\Z") as refused:
        choose_device(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["", "CPU", "cuda:-1", "cuda:99999999999999999999", "cpu:x", "c\0pu", "cuda:0:1", "\udcff"]
)
def test_a_word_that_is_no_device_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(UsageError, match="is no device, wanted auto, cpu, cuda, cuda:1 or mps"):
        choose_device(name)


def test_there_is_one_cpu() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("cpu:0").type == "cpu"
    with pytest.raises(UsageError, match="cpu:1 was asked for, this machine has 1"):
        choose_device("cpu:1")


def test_the_fused_attention_is_off_inside_only() -> None:
    before = torch.backends.mha.get_fastpath_enabled()
    with suppress(KeyError), plain_attention():
        assert not torch.backends.mha.get_fastpath_enabled()
        raise KeyError
    assert torch.backends.mha.get_fastpath_enabled() is before


def test_denormal_numbers_become_zero_after_flushing() -> None:
    try:
        if not flush_denormals():
            pytest.skip("this processor cannot flush denormal numbers")
        assert (torch.tensor([1e-38]) * 1e-3).item() == 0.0
    finally:
        torch.set_flush_denormal(False)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """How many threads PyTorch has before; it has as many afterwards."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    had = torch.get_num_threads()
    torch.set_num_threads(3)
    monkeypatch.setattr("stackclip.clip.device._settled", _Settled())
    yield 3
    torch.set_num_threads(had)


@pytest.mark.parametrize(
    ("numbers", "device", "alone"), [(25216, "cpu", True), (151296, "cpu", False), (1, "cuda", False)]
)
def test_a_small_tower_has_one_thread_and_the_next_has_all_again(
    threads: int, numbers: int, device: str, alone: bool
) -> None:
    for _ in range(2):
        settle_threads(1, torch.device("cpu"))
        assert torch.get_num_threads() == 1
        settle_threads(numbers, torch.device(device))
        assert torch.get_num_threads() == (1 if alone else threads)


def test_what_somebody_says_between_two_towers_is_what_the_next_large_one_has(threads: int) -> None:
    settle_threads(1, torch.device("cpu"))
    torch.set_num_threads(2)
    settle_threads(1, torch.device("cpu"))
    assert torch.get_num_threads() == 1
    settle_threads(151296, torch.device("cpu"))
    assert torch.get_num_threads() == 2 != threads


def test_who_says_how_many_threads_there_are_is_heard(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    settle_threads(1, torch.device("cpu"))
    assert torch.get_num_threads() == threads


def test_what_bf16_takes_is_measured_as_a_share_of_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, linear = [0.0], torch.nn.functional.linear

    def slow(tokens: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        clock[0] += 0.5 if tokens.dtype == torch.bfloat16 else 2.0
        return linear(tokens, weight)

    monkeypatch.setattr(torch.nn.functional, "linear", slow)
    monkeypatch.setattr("stackclip.clip.device.perf_counter", lambda: clock[0])
    assert bf16_share() == 0.25
