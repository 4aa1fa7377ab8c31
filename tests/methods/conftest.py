"""What tests of methods share: a text tower whose words are stored token ids, and a training that is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from stackclip.clip import Tower
from stackclip.contracts.trial import task_of
from stackclip.methods import resolve
from stackclip.training.checkpoints import checkpoint_of, resume
from stackclip.training.trainee import Trainee
from stackclip.types import Features


@dataclass(frozen=True)
class StoredText:
    """The text side of a tower; what subclasses tokenize is stored ids."""

    tower: Tower
    context_length: ClassVar[int] = 77

    @property
    def text_depth(self) -> int:
        return self.tower.text.text_depth

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        return self.tower.text.embed_tokens(tokens)

    def encode_embedded(self, embedded: Tensor, ends: Tensor, **words: Any) -> Tensor:
        return self.tower.text.encode_embedded(embedded, ends, **words)


@dataclass(frozen=True)
class BehindTwelve(StoredText):
    """A text tower whose words are the token ids of the stored prompts, behind twelve that are learned."""

    ids: Tensor  # (2, 77)

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        assert list(phrases) == ["object.", "damaged object."]
        return torch.cat([self.ids[:, :1], self.ids[:, 13:17]], dim=1)


def trained(trainee: Trainee, features: Features, epochs: int, *, size: int) -> Trainee:
    """A trainee that has learned for some epochs more, in batches of `size`."""
    for _ in range(epochs):
        for start in range(0, len(features), size):
            trainee.learn(features.rows(start, start + size), last=start + size >= len(features))
        trainee.end_epoch()
    return trainee


def same(one: Trainee, other: Trainee) -> None:
    """Equality to the last digit of what was lost and of what was learned."""
    assert one.losses == other.losses
    state = other.working.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in one.working.state_dict().items())


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in the order of one thread, for a gradient that is a small difference of large terms."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def goes_on() -> Callable[..., tuple[Trainee, Trainee]]:
    """`goes_on(spec, features, stop, epochs, size)`: a training stopped after `stop` epochs ends as one that was not.

    Gives both.
    """

    def compare(spec: str, features: Features, stop: int, *, epochs: int, size: int) -> tuple[Trainee, Trainee]:
        method = resolve(spec)
        whole, stopped, resumed = (
            Trainee(spec, method.begin(task_of()), features.samples, frozenset(features.parts)) for _ in range(3)
        )
        resume(resumed, checkpoint_of(trained(stopped, features, stop, size=size), {}))
        trained(resumed, features, epochs - stop, size=size)
        same(resumed, trained(whole, features, epochs, size=size))
        return resumed, whole

    return compare
