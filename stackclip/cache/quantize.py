"""Patch tokens as 8-bit codes: one scale a channel and one a token, both worked out from the picture's tokens alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["QUANTIZATION", "code_count", "decode_tokens", "encode_tokens"]

QUANTIZATION = 1  # raised when the same tokens would give other bytes, or the same bytes other values

_LARGEST = 127  # of a code; -128 is never written
_FLOAT16_MAX = 65504
_AT_ONCE = 1 << 15  # values: they stay in the processor's cache, and torch does not spread them over threads

_BYTES = np.arange(256)
_CHANNEL_SCALES = np.ldexp(8.0 + _BYTES % 8, _BYTES // 8 - 34).astype(np.float32)  # 2**-31 to 1.875, 8 an octave
_TOKEN_SCALES = np.ldexp(4.0 + _BYTES % 4, _BYTES // 4 - 42).astype(np.float32)  # 2**-40 to 7 * 2**21, 4 an octave


def code_count(shape: tuple[int, ...]) -> int:
    """The bytes that tokens of the shape (P, C) become: P * C + P + C."""
    return math.prod(shape) + sum(shape)


def encode_tokens(tokens: NDArray[np.float16]) -> NDArray[np.int8]:
    """Turn finite tokens (P, C) into P * C codes, P token scales and C channel scales, (P * C + P + C,) int8.

    A value is about its code times its token's scale times its channel's scale. A channel's scale is the largest share
    that the channel has of the length of any token: so the few tokens with huge values that large towers make cost the
    other tokens nothing. A token's scale lets its largest value be the largest code. Both are rounded up to what a byte
    can say. The error of a token, relative to its length, is at most the length of the channel scales / 127 / 2 * 1.25.
    """
    values = tokens.astype(np.float32, order="C")  # one order of summing, wherever the tokens lie
    lengths = np.sqrt(np.square(values).sum(axis=1, keepdims=True))  # (P, 1)
    shares = np.abs(values) / np.maximum(lengths, np.finfo(np.float32).tiny)
    channels = np.searchsorted(_CHANNEL_SCALES, shares.max(axis=0))  # (C,)
    values /= _CHANNEL_SCALES[channels]
    largest = np.abs(values, out=shares).max(axis=1)  # at most the token's length, far below the last token scale
    scales = np.searchsorted(_TOKEN_SCALES, largest / _LARGEST)  # (P,)
    values /= _TOKEN_SCALES[scales, None]
    codes = np.rint(values, out=values).astype(np.int8)
    return np.concatenate([codes.reshape(-1), np.concatenate([scales, channels]).astype(np.uint8).view(np.int8)])


def decode_tokens(codes: NDArray[np.int8], into: NDArray[Any]) -> None:
    """Fill `into` (P, C), float32 or float16, with the values of codes (P * C + P + C,).

    float32 holds each value exactly, in whatever order it is worked out: a code has 7 bits, a scale 3 or 4. float16 is
    rounded from that, and stays finite.
    """
    import torch  # it widens and narrows several times as fast as numpy

    count, width = into.shape
    scales = codes[count * width :].view(np.uint8)
    by_token = torch.from_numpy(_TOKEN_SCALES[scales[:count], None])
    by_channel = torch.from_numpy(_CHANNEL_SCALES[scales[count:]])
    grid, target = torch.from_numpy(codes[: count * width].reshape(into.shape)), torch.from_numpy(into)
    step = max(1, _AT_ONCE // width)
    for start in range(0, count, step):
        some = slice(start, start + step)
        exact = target.dtype == torch.float32
        values = target[some].copy_(grid[some]) if exact else grid[some].float()
        values.mul_(by_channel).mul_(by_token[some])
        if not exact:
            target[some].copy_(values.clamp_(-_FLOAT16_MAX, _FLOAT16_MAX))
