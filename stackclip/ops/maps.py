"""From patch tokens to pixels: cosine logits of tokens as they are or projected, upsampling, smoothing, scaling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor
from torch.autograd.function import once_differentiable

from stackclip.ops.portions import pieces, portions
from stackclip.sizes import Frame, Side, Size, frame_of, size_of
from stackclip.types import ANOMALOUS, NORMAL

__all__ = [
    "LOGIT_SCALE",
    "anomaly_logits",
    "gaussian_matrix",
    "interpolation_matrix",
    "interpolations",
    "large_logits",
    "largest_mean",
    "layers_logits",
    "local_means",
    "min_max",
    "on_grid",
    "pixels",
    "projected_logits",
    "smooth",
    "smooth_in_window",
    "unit",
    "upsample",
]

LOGIT_SCALE = 100.0  # CLIP's learned temperature, fixed by APRIL-GAN and all that follow it


def unit(vectors: Tensor) -> Tensor:
    """Scale vectors (..., D) to length 1."""
    return F.normalize(vectors, dim=-1)


def anomaly_logits(tokens: Tensor, anchors: Tensor, frame: Frame | Side, *, scale: float = LOGIT_SCALE) -> Tensor:
    """Logits of ANOMALOUS against NORMAL at every pixel: tokens (B, P, D), anchors (B, 2, D) -> (B, H, W).

    The released code upsamples both logits and takes the softmax of two. Upsampling is linear, so the sigmoid of this
    upsampled *difference* is the same probability for half the work. FuzzyCLIP, equation 6; APRIL-GAN, its test loop.
    """
    difference = anchors[:, ANOMALOUS] - anchors[:, NORMAL]  # (B, D)
    logits = scale * torch.einsum("bpd,bd->bp", unit(tokens), difference)
    return pixels(logits, frame)


def projected_logits(
    tokens: Tensor,
    anchors: Tensor,
    *,
    weight: Tensor,
    bias: Tensor,
    grid: Size,
    scale: float = LOGIT_SCALE,
) -> Tensor:
    """Logits of ANOMALOUS against NORMAL of each patch under K stacks: tokens (B, P, C) -> (B, K, rows, columns).

    `weight` (D, C) and `bias` (D,) are those of a linear layer into the joint space, `anchors` (B, K, 2, D) its unit
    text features. Upsampled, these are the `anomaly_logits` of the projected tokens; here those are never copied.
    """
    return layers_logits([tokens], anchors, weights=[weight], biases=[bias], grid=grid, scale=scale)[0]


def layers_logits(
    tokens: Sequence[Tensor],
    anchors: Tensor,
    *,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    grid: Size,
    scale: float = LOGIT_SCALE,
    products: torch.dtype | None = None,
) -> Tensor:
    """The `projected_logits` of L layers, each with tokens, weight and bias of its own: (L, B, K, rows, columns).

    Small layers are worked on together, as one operation costs more than what it does to a few numbers. `products` is
    the type of the numbers in the large matrix products, forward and backward; all else keeps that of the tokens.
    """
    directions = anchors[:, :, ANOMALOUS] - anchors[:, :, NORMAL]  # (B, K, D)
    numbers, keep = tokens[0].shape[:2].numel() * len(weights[0]), torch.is_grad_enabled()
    cosines: list[Tensor] = [
        _ProjectedCosines.apply(directions, keep, products, *tokens[some], *weights[some], *biases[some])
        for some in pieces(len(tokens), numbers)
    ]
    return scale * on_grid(torch.cat(cosines) if len(cosines) > 1 else cosines[0], grid)


class _ProjectedCosines(torch.autograd.Function):
    """The dot of directions d (B, K, D) with unit projected tokens z / |z|, z = W x + b, of L layers: (L, B, K, P).

    The gradient by hand: with the cosine s = d . z / |z|, ds/dz = (d - s z / |z|) / |z|. So for gradients g_k of the
    s_k, grad z = sum_k (g_k / |z|) d_k - (sum_k g_k s_k / |z|^2) z: z scaled, and a product of rank K. Then grad W =
    (grad z)^T x, grad x = (grad z) W, grad d = g^T (z / |z|). Two large matrix products, and no unit copy of z.
    """

    @staticmethod
    def forward(ctx: Any, directions: Tensor, keep: bool, products: torch.dtype | None, *given: Tensor) -> Tensor:
        """`given` are the tokens, weights and biases of all layers; `keep` says whether a backward will follow.

        z is then kept, all else is made again.
        """
        ctx.products = products or directions.dtype
        layers = [(tokens, weight.to(ctx.products), bias.to(ctx.products)) for tokens, weight, bias in _layers(given)]
        kept, lengths, cosines = [], [], []
        for some in portions(directions, len(layers) * given[0].shape[1] * directions.shape[-1]):
            each = [F.linear(tokens[some].to(ctx.products), *layer).to(directions) for tokens, *layer in layers]
            z = torch.stack(each) if len(each) > 1 else each[0][None]  # (L, b, P, D)
            length = torch.linalg.vector_norm(z, dim=-1).clamp_(min=1e-12)[:, :, None]  # (L, b, 1, P), as F.normalize
            cosines.append((directions[some] @ z.mT).div_(length))  # (L, b, K, P)
            if keep:
                kept.append(z)
                lengths.append(length)
        result = torch.cat(cosines, 1)
        if keep:
            ctx.save_for_backward(directions, result, torch.cat(lengths, 1), *given, *kept)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        directions, cosines, lengths, *saved = ctx.saved_tensors
        of_direction, _, _, *wanted = ctx.needs_input_grad
        given, kept = saved[: len(wanted)], saved[len(wanted) :]
        grads = [torch.zeros_like(each) if asked else None for each, asked in zip(given, wanted, strict=True)]
        grad_directions = torch.empty_like(directions) if of_direction else None
        along = gradient / lengths  # (L, B, K, P), what each direction counts
        back = -(along * cosines).sum(2).div_(lengths[:, :, 0])[..., None]  # (L, B, P, 1), what z counts
        scratch = torch.empty_like(kept[0])
        for some, z in zip(portions(directions, kept[0][:, 0].numel()), kept, strict=True):
            if grad_directions is not None:
                grad_directions[some] = (along[:, some] @ z).sum(0)
            grad_z = torch.mul(z, back[:, some], out=scratch[:, : z.shape[1]])
            toward = directions[some].expand(len(z), -1, -1, -1).flatten(0, 1)
            grad_z.view(-1, *z.shape[2:]).baddbmm_(along[:, some].mT.flatten(0, 1), toward)
            for of_layer, layer, into in zip(grad_z, _layers(given), _layers(grads), strict=True):
                _add_grads(of_layer.flatten(0, 1).to(ctx.products), layer, into, some)
        return grad_directions, None, None, *grads


def _layers(given: Sequence[Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Tokens, weight and bias of each layer, where all tokens stand first, then all weights, then all biases."""
    count = len(given) // 3
    return zip(given[:count], given[count : 2 * count], given[2 * count :], strict=True)


def _add_grads(grad_z: Tensor, layer: tuple[Tensor, ...], grads: tuple[Tensor | None, ...], some: slice) -> None:
    """Add to the gradients of a layer what some pictures give, those of whose z are (bP, D)."""
    (tokens, weight, _), (grad_tokens, grad_weight, grad_bias) = layer, grads
    if grad_weight is not None:
        flat = tokens[some].flatten(0, 1).to(grad_z)
        if grad_z.dtype == grad_weight.dtype:
            grad_weight.addmm_(grad_z.mT, flat)
        else:
            grad_weight += grad_z.mT @ flat
    if grad_bias is not None:
        grad_bias += grad_z.sum(0)
    if grad_tokens is not None:
        grad_tokens[some] = (grad_z @ weight.to(grad_z)).view_as(tokens[some])


def on_grid(patches: Tensor, grid: Size) -> Tensor:
    """A value for each patch, row by row, on its `grid`: (..., P) -> (..., rows, columns).

    Raises RuntimeError where the grid has not P places.
    """
    return patches.reshape(*patches.shape[:-1], *grid)


def pixels(patches: Tensor, frame: Frame | Side, *, align_corners: bool = True) -> Tensor:
    """A value for each patch, `on_grid` and upsampled: (..., P) -> (..., H, W).

    `frame` is the tower's (`TowerSpec.frame`), or its `image_size`, which square patches fill in one way only.
    APRIL-GAN aligns the corners of patches and pixels; AnomalyCLIP and CLIP-AD align their edges. Raises as `frame_of`.
    """
    where = frame_of(frame, patches.shape[-1])
    return upsample(on_grid(patches, where.grid), where.size, align_corners=align_corners)


def upsample(maps: Tensor, size: Side, *, align_corners: bool = True) -> Tensor:
    """Bilinear: (..., rows, columns) -> (..., H, W), as two small matrix products."""
    down, across = interpolations(maps, size, align_corners)
    return down @ maps @ across.mT


def large_logits(logits: Tensor, size: Side) -> Tensor:
    """`upsample` for training: across first, so that no product has long narrow rows, and none of its gradient has."""
    down, across = interpolations(logits, size)
    return down @ (logits @ across.mT)


def interpolations(maps: Tensor, size: Side, align_corners: bool = True) -> tuple[Tensor, Tensor]:
    """The `interpolation_matrix` down (H, rows) and across (W, columns) of maps (..., rows, columns), in their type."""
    ends = zip(maps.shape[-2:], size_of(size), strict=True)
    down, across = (interpolation_matrix(grid, side, align_corners).to(maps) for grid, side in ends)
    return down, across


def smooth(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian of `sigma` pixels over maps (..., H, W), reflected at the borders, as scipy's `gaussian_filter`.

    No smoothing for sigma 0.
    """
    if not sigma:
        return maps
    down, across = (gaussian_matrix(side, sigma).to(maps) for side in maps.shape[-2:])
    return down @ maps @ across.mT


def smooth_in_window(maps: Tensor, sigma: float, window: int) -> Tensor:
    """Gaussian of `sigma` points in a window of odd side, mirrored at the border points: maps (..., rows, columns).

    As kornia's `gaussian_blur2d` with `reflect`, which AA-CLIP calls on the patch grid.
    """
    down, across = (window_matrix(side, sigma, window).to(maps) for side in maps.shape[-2:])
    return down @ maps @ across.mT


def local_means(tokens: Tensor, side: int, grid: Size) -> Tensor:
    """Each patch as the mean of the `side` x `side` patches around it, an odd number: (B, P, C) -> (B, P, C).

    Places outside the `grid` are zeros that count.
    """
    maps = on_grid(tokens.mT, grid)  # (B, C, rows, columns)
    return F.avg_pool2d(maps, side, stride=1, padding=side // 2).flatten(2).mT if side > 1 else tokens


def largest_mean(maps: Tensor, count: int) -> Tensor:
    """The mean of the `count` largest pixels of each map: (B, H, W) -> (B,)."""
    return maps.flatten(1).topk(count, dim=1).values.mean(1)


def min_max(values: Tensor) -> Tensor:
    """Values of any shape, shifted and scaled to run from 0 to 1; values that are all equal become 0."""
    return (values - values.min()) / (values.max() - values.min()).clamp(min=1e-12)


@lru_cache(maxsize=32)
def interpolation_matrix(grid: int, side: int, align_corners: bool = True) -> Tensor:
    """Rows of weights (side, grid) that interpolate `grid` points at `side` places."""
    with torch.inference_mode(mode=False):  # whoever asks first, training may ask next
        return _interpolating(grid, side, align_corners)


def _interpolating(grid: int, side: int, align_corners: bool) -> Tensor:
    points = torch.eye(grid, dtype=torch.float64)[None]
    weights = F.interpolate(points, size=side, mode="linear", align_corners=align_corners)[0]  # (grid, side)
    return weights.T.contiguous()


@lru_cache(maxsize=32)
def gaussian_matrix(side: int, sigma: float) -> Tensor:
    """Rows of weights (side, side) that smooth `side` points; the kernel ends at four sigma, as scipy's does."""
    from scipy.ndimage import gaussian_filter1d

    with torch.inference_mode(mode=False):
        return torch.from_numpy(gaussian_filter1d(np.eye(side), sigma, axis=0))


@lru_cache(maxsize=32)
def window_matrix(side: int, sigma: float, window: int) -> Tensor:
    """Rows of weights (side, side) that smooth `side` points by a Gaussian cut to `window` points."""
    reach = window // 2
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    mirrored = np.pad(np.eye(side), ((reach, reach), (0, 0)), mode="reflect")  # (side + 2 reach, side)
    with torch.inference_mode(mode=False):
        return torch.from_numpy(sliding_window_view(mirrored, window, axis=0) @ (weights / weights.sum()))
