"""What the tower learns from: captions that fit, the state of a picture and of its patches, and its attributes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from scripts.train_tiny.captions import fits
from scripts.train_tiny.learner import Learner
from scripts.train_tiny.pool import NAMES, UNKNOWN
from scripts.train_tiny.views import Batch
from stackclip.ops.maps import LOGIT_SCALE

__all__ = ["WEIGHTS", "contrastive", "entropy_floor", "loss_terms", "total"]

WEIGHTS: Mapping[str, float] = {
    "contrastive": 1.0,
    "state": 1.0,
    "order": 0.5,
    "dense": 4.0,
    "attributes": 1.0,
    "texture": 0.3,
}
_DENSE_WEIGHT = 4.0  # of a defective patch: they are few


def loss_terms(learner: Learner, batch: Batch) -> tuple[dict[str, Tensor], float]:
    """Every term of the loss by name, and the entropy floor: the least that the contrastive term can be.

    State and dense logits are 100 cos, as all methods here read a tower, so that their probabilities are those that
    were learned; the contrastive term has the learned factor. `order` asks that of twins the defective one is the more
    anomalous; it counts where the view shows the defect.
    """
    device = learner.scale.device
    seen = learner.see(batch.pictures.to(device), view=batch.view, corner=batch.corner)
    captions = batch.captions.all
    texts = learner.read(learner.vocabulary.tokenize([caption.phrase for caption in captions]).to(device))
    match = fits(captions, batch.labels, batch.states)
    pairs = len(batch.captions.normal)
    states = torch.from_numpy(batch.states).to(device)
    shares = batch.shares.to(device)
    unit = F.normalize(seen.joint, dim=-1)
    axis = texts[pairs : 2 * pairs] - texts[:pairs]  # (N, D)
    axes = torch.cat([axis, axis])  # (2N, D)
    state = LOGIT_SCALE * (unit * axes).sum(-1)
    good, defective = state.chunk(2)
    shown = states[pairs:].float()
    weight = torch.tensor(_DENSE_WEIGHT, device=device)
    dense = [
        F.binary_cross_entropy_with_logits(
            LOGIT_SCALE * torch.einsum("bpd,bd->bp", F.normalize(tokens, dim=-1), axes), shares, pos_weight=weight
        )
        for tokens in seen.dense
    ]
    targets = torch.from_numpy(batch.labels.astype(np.int64)).to(device)
    kinds = torch.where(states, targets[:, 3], len(NAMES[3]))
    attributes = [
        _named(head(seen.joint), wanted)
        for head, wanted in zip(learner.attributes, (*targets[:, :3].T, kinds), strict=True)
    ]
    return {
        "contrastive": contrastive(learner.scale * unit @ texts.mT, match),
        "state": F.binary_cross_entropy_with_logits(state, states.float()),
        "order": (F.softplus(good - defective) * shown).sum() / shown.sum().clamp(min=1),
        "dense": torch.stack(dense).mean(),
        "attributes": torch.stack(attributes).mean(),
        "texture": _named(seen.texture, targets[:, 0]),
    }, entropy_floor(match)


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """The weighted sum of the terms."""
    return torch.stack([WEIGHTS[name] * term for name, term in terms.items()]).sum()


def contrastive(logits: Tensor, match: NDArray[np.bool_]) -> Tensor:
    """Cross-entropy of pictures over captions and captions over pictures, (N, M); all that match are equally right.

    Rows and columns without any match do not count.
    """
    fit = torch.from_numpy(match).to(logits)
    return (_spread(logits, fit) + _spread(logits.mT, fit.mT)) / 2


def entropy_floor(match: NDArray[np.bool_]) -> float:
    """The contrastive term of perfect logits: the mean logarithm of the number of matches, both ways."""
    ways = [match.sum(axis) for axis in (1, 0)]
    return float(np.mean([np.log(counts[counts > 0]).mean() for counts in ways]))


def _named(logits: Tensor, wanted: Tensor) -> Tensor:
    """The mean cross-entropy over what has a name; nothing where nothing has one."""
    terms = F.cross_entropy(logits, wanted, ignore_index=UNKNOWN, reduction="sum")
    return terms / (wanted != UNKNOWN).sum().clamp(min=1)


def _spread(logits: Tensor, fit: Tensor) -> Tensor:
    counts = fit.sum(1)
    rows = counts > 0
    aims = fit[rows] / counts[rows, None]
    return -(aims * F.log_softmax(logits[rows], dim=1)).sum(1).mean()
