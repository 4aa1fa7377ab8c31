"""Batches: pairs of a pool, flipped, relit and cut to a view, with their captions and patch targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from scripts.train_tiny.captions import Captions, draw_captions
from scripts.train_tiny.learner import View
from scripts.train_tiny.pool import NAMES, UNKNOWN, Pool
from stackclip.clip.transform import CLIP_MEAN, CLIP_STD

__all__ = ["HARD", "PATCH", "Batch", "draw_batch"]

PATCH = 8
_ON_DEFECT = 0.85  # of the windows lie around a defective pixel, so that most of them show one
_CANDIDATES = 3  # for each pair of a batch, drawn evenly; then the batch is drawn from them by these weights
HARD = {"missing-part": 4.0, "deformation": 4.0}  # to be seen by the shape alone; every other kind has 1
_SEEN = 12  # pixels of a defect, at full scale, from which on a view is anomalous


@dataclass(frozen=True)
class Batch:
    """2N pictures, N good ones and then their defective twins, and what is true of them.

    `pictures` (2N, 3, S, S) normalised; `shares` (2N, P) of each patch that is defective; `labels` (2N, 4); `states`
    (2N,) whether a defect is to be seen in the view; `captions` for N pairs.
    """

    pictures: Tensor
    shares: Tensor
    labels: NDArray[np.uint8]
    states: NDArray[np.bool_]
    captions: Captions
    view: View
    corner: tuple[int, int]


def draw_batch(pool: Pool, pairs: int, *, among: int, view: View, seed: tuple[int, ...]) -> Batch:
    """The batch that follows from `seed`: `pairs` of the first `among` pairs of a pool, more of them of hard kinds."""
    draws = np.random.default_rng(seed)
    pictures, masks, labels = pool.read(_chosen(pool, pairs, among, draws))
    captions = draw_captions(labels, draws)
    pictures, masks = _turned(pictures, masks, draws)
    corner = (0, 0)
    if view == "window":
        pictures, masks, corner = _windows(pictures, masks, draws)
    values = torch.from_numpy(np.ascontiguousarray(pictures)).permute(1, 0, 4, 2, 3).flatten(0, 1)  # (2N, 3, S, S)
    values = _relit(values.float() / 255, pairs, draws)
    defects = torch.from_numpy(np.ascontiguousarray(masks)).float()
    if view == "half":
        values = F.avg_pool2d(values, 2)
        defects = F.avg_pool2d(defects[:, None], 2)[:, 0]
    shares = F.avg_pool2d(defects[:, None], PATCH).flatten(1)  # (N, P)
    states = masks.reshape(pairs, -1).sum(1) >= _SEEN
    return Batch(
        (values - _column(CLIP_MEAN)) / _column(CLIP_STD),
        torch.cat([torch.zeros_like(shares), shares]),
        np.concatenate([labels, labels]),
        np.concatenate([np.zeros(pairs, bool), states]),
        captions,
        view,
        corner,
    )


def _chosen(pool: Pool, pairs: int, among: int, draws: np.random.Generator) -> NDArray[np.int64]:
    candidates = draws.choice(among, _CANDIDATES * pairs, replace=among < _CANDIDATES * pairs)
    kinds = pool.kinds(candidates).tolist()
    weights = np.array([1.0 if kind == UNKNOWN else HARD.get(NAMES[3][kind], 1.0) for kind in kinds])
    return draws.choice(candidates, pairs, replace=False, p=weights / weights.sum())


def _turned(
    pictures: NDArray[np.uint8], masks: NDArray[np.bool_], draws: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Each pair mirrored half of the time, and half of the time turned by quarters; twins alike."""
    pictures, masks = pictures.copy(), masks.copy()
    for row in range(len(masks)):
        picture, mask = pictures[row], masks[row]
        if draws.random() < 0.5:
            picture, mask = picture[:, :, ::-1], mask[:, ::-1]
        if draws.random() < 0.5:
            quarters = int(draws.integers(4))
            picture, mask = np.rot90(picture, quarters, (1, 2)), np.rot90(mask, quarters)
        pictures[row], masks[row] = picture.copy(), mask.copy()
    return pictures, masks


def _windows(
    pictures: NDArray[np.uint8], masks: NDArray[np.bool_], draws: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], tuple[int, int]]:
    """Windows of half the side, moved so that most hold a defective pixel; one corner, in patches, for the batch.

    The pixels of each pair are rolled so that its own window stands at the common corner.
    """
    side = masks.shape[1]
    half, places = side // 2, side // 2 // PATCH + 1
    corner = int(draws.integers(places)), int(draws.integers(places))
    cut, covered = [], []
    for picture, mask in zip(pictures, masks, strict=True):
        top, left = (int(draws.integers(side - half + 1)) for _ in range(2))
        defective = np.flatnonzero(mask)
        if len(defective) and draws.random() < _ON_DEFECT:
            row, column = divmod(int(draws.choice(defective)), side)
            top, left = (
                int(np.clip(at - draws.integers(half // 8, half - half // 8), 0, side - half)) for at in (row, column)
            )
        cut.append(picture[:, top : top + half, left : left + half])
        covered.append(mask[top : top + half, left : left + half])
    return np.stack(cut), np.stack(covered), corner


def _relit(pictures: Tensor, pairs: int, draws: np.random.Generator) -> Tensor:
    """Pictures (2N, 3, S, S) in [0, 1] under another exposure and white balance; twins alike."""
    gain = draws.normal(1.0, 0.08, (pairs, 1)) * draws.normal(1.0, 0.03, (pairs, 3))
    shift = draws.normal(0.0, 0.03, (pairs, 1))
    factor = torch.from_numpy(np.tile(gain, (2, 1))).float()[:, :, None, None]
    offset = torch.from_numpy(np.tile(shift, (2, 1))).float()[:, :, None, None]
    return (pictures * factor + offset).clamp(0, 1)


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values)[:, None, None]
