"""Batches of features are what the store holds, as float32 on the device."""

from __future__ import annotations

import numpy as np
import torch

from stackclip.training.sources import FeatureReader
from stackclip.types import CLS, MASK


def test_parts_come_as_float32_and_masks_as_bytes(small) -> None:
    reader = FeatureReader(small.store, torch.device("cpu"))
    samples = small.tested.select(split="test").samples
    tap = small.tower.spec.taps[1]
    batches = list(reader.batches(samples, {CLS, tap, MASK}, size=3))
    assert [len(batch) for batch in batches] == [3, 3, 2]
    assert tuple(sample for batch in batches for sample in batch.samples) == samples
    first = batches[0]
    assert (first[CLS].dtype, first[tap].dtype, first[MASK].dtype) == (torch.float32, torch.float32, torch.uint8)
    assert first[tap].shape == (3, 49, 128)
    assert first[MASK].shape == (3, 56, 56)
    assert np.array_equal(first[tap].numpy(), small.store.read(samples[:3], tap).astype(np.float32))
    assert first[MASK].amax((1, 2)).tolist() == [sample.label for sample in samples[:3]]


def test_a_class_mean_is_the_mean_of_unit_class_tokens(small) -> None:
    samples = small.training.select(split="test").samples[:4]
    tokens = small.store.read(samples, CLS).astype(np.float64)
    wanted = (tokens / np.linalg.norm(tokens, axis=1, keepdims=True)).mean(0)
    mean = FeatureReader(small.store, torch.device("cpu")).class_mean(samples)
    assert np.allclose(mean.numpy(), wanted, atol=1e-6)
