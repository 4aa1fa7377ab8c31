"""Clustering-driven stacked prompts (CSP): the names of similar categories, one after another.

FuzzyCLIP, section 2.2: k-means over the training categories, k chosen by equation 4, the names of a cluster joined in
the class slot (equation 3). What the paper leaves open is an option; docs/decisions/0006 has the defaults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from stackclip.errors import BadOption, NonFiniteScores
from stackclip.prompts.ensemble import CPE, Overflow
from stackclip.prompts.strategy import Clustering, Encode
from stackclip.registry import AtTest, From, Removable, Spec, prompts, scorers
from stackclip.types import LARGEST_SEED, NORMAL

if TYPE_CHECKING:
    import numpy as np

__all__ = ["JOINERS", "Stacked", "TestPrompt"]

JOINERS = {"space": " ", "comma": ", ", "and": " and "}
_STARTS = 50  # runs of k-means; the best counts
TestPrompt = Literal["object", "cluster", "object+cluster", "object+cluster+object"]


@prompts.register("stacked")
@dataclass(frozen=True, kw_only=True)
class Stacked:
    """The names of a stack of similar training categories, joined (FuzzyCLIP, figure 1c; equations 3, 4 and 9).

    `clusters` fixes the number of stacks (table 6); `none` takes the k of the lowest score, up to `max_clusters`.
    `scorer` prices a split; `lambda` and `sse` are those of the default, `penalty`. `source` says what is clustered:
    text features of the names, or the mean class token of each category's training pictures. `test` is the prompt
    of an unseen category (table 8): its own name, the stack, or both. Names are in the `order` of the data set or the
    alphabet, with a space, a comma or "and" between them (`joiner`). `overflow` says what happens to a stack
    that does not fit 77 tokens: `error`, `truncate-names` or `chunk-mean`.
    """

    without: ClassVar[Removable] = Removable("stacked prompts", off="fuzzy")

    clusters: Annotated[int | None, Removable("clustering of categories (CSP, equation 4)", off="1")] = None
    max_clusters: int = 8
    scorer: Annotated[str, From(scorers)] = "penalty"
    lambda_: float = 0.1
    sse: Literal["sum", "mean"] = "sum"
    source: Literal["text", "image"] = "text"
    joiner: Literal["space", "comma", "and"] = "space"
    order: Literal["dataset", "alphabetical"] = "dataset"
    test: Annotated[TestPrompt, AtTest, Removable("own name in the test prompt (equation 9)", off="cluster")] = (
        "cluster"
    )
    overflow: Overflow = "error"
    seed: int = 0

    epochs = 2  # not annotated: a fact of the paper, not an option

    def __post_init__(self) -> None:
        """Raise what a wrong scorer raises, and BadOption for a number that no clustering has."""
        scorers.create(self._scorer_spec())
        for name, least in (("clusters", 1), ("max_clusters", 1), ("seed", 0)):
            number = getattr(self, name)
            if number is not None and number < least:
                raise BadOption(f"stacked: {name}={number}; wanted {least} or more")
        if self.seed > LARGEST_SEED:
            raise BadOption(f"stacked: seed={self.seed}; wanted at most {LARGEST_SEED}")

    def stacks(self, categories: tuple[str, ...], encode: Encode) -> tuple[tuple[str, ...], ...]:
        """The stacks of the best-scored k-means split, in the order of their first category."""
        return self.cluster(categories, encode).stacks

    def subject(self, category: str, stack: tuple[str, ...], *, seen: bool) -> str:
        """The joined names of the stack; for an unseen category what `test` says (equation 9, table 8)."""
        names = sorted(stack) if self.order == "alphabetical" else stack
        joined = JOINERS[self.joiner].join(names)
        pieces = ["cluster"] if seen else self.test.split("+")
        return " ".join(joined if piece == "cluster" else category for piece in pieces)

    def explain(self, categories: tuple[str, ...], encode: Encode) -> dict[str, Any]:
        """The stacks and the whole curve of scores."""
        return self.cluster(categories, encode).facts()

    def cluster(self, categories: tuple[str, ...], encode: Encode) -> Clustering:
        """Split the categories by k-means for every k and keep the best-scored split. FuzzyCLIP, equation 4."""
        count = len(categories)
        if self.clusters is not None and not 1 <= self.clusters <= count:
            raise BadOption(f"stacked: clusters={self.clusters} of {count} categories; wanted 1 to {count}")
        price = scorers.create(self._scorer_spec())
        points = self._points(categories, encode)
        wanted = range(1, min(count, max(self.max_clusters, self.clusters or 1)) + 1)
        splits = {k: _split(points.tobytes(), count, k, self.seed) for k in wanted}
        scores = {k: float(price(points, labels)) for k, labels in splits.items()}
        if wrong := {k: score for k, score in scores.items() if not math.isfinite(score)}:
            k, score = next(iter(wrong.items()))
            raise NonFiniteScores(f"the scorer {self.scorer} prices {k} of {count} categories' clusters at {score}")
        best = self.clusters or min(scores, key=lambda k: scores[k])
        members: dict[int, list[str]] = {}
        for category, label in zip(categories, splits[best].tolist(), strict=True):
            members.setdefault(label, []).append(category)
        return Clustering(tuple(tuple(stack) for stack in members.values()), scores)

    def _scorer_spec(self) -> Spec:
        spec = Spec.parse(self.scorer)
        return spec.with_options(**{"lambda": self.lambda_, "sse": self.sse}) if spec.name == "penalty" else spec

    def _points(self, categories: tuple[str, ...], encode: Encode) -> np.ndarray:
        """What k-means sees: one unit vector per category, (n, D)."""
        import torch
        import torch.nn.functional as F

        if self.source == "image":
            vectors = encode.class_means(categories)
        else:
            ensembles = [encode(CPE.phrases(category, NORMAL)) for category in categories]
            vectors = torch.stack([F.normalize(features, dim=-1).mean(0) for features in ensembles])
        return F.normalize(vectors, dim=-1).double().cpu().numpy()


@lru_cache(maxsize=64)
def _split(points: bytes, count: int, k: int, seed: int) -> np.ndarray:
    """The label of each of `count` points (float64) in the best of the k-means splits; once for the same points."""
    import numpy as np

    from stackclip.ops.clusters import k_means

    labels = k_means(np.frombuffer(points).reshape(count, -1), k, starts=_STARTS, seed=seed).labels
    labels.flags.writeable = False
    return labels
