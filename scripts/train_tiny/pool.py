"""The pool: pairs of generated pictures on disk, drawn once by other processes and read while they still draw."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stackclip.benchmarks.picture_sets import photograph_paths, read_photographs
from stackclip.ops.files import content_hash, file_hash, written_once
from stackclip.synthetic import COLOURS, DEFECTS, PATTERNS, SHAPES, Pair, categories_of, draw_pair, kinds_of, shapes_of
from stackclip.synthetic.worn import Photograph, draw_worn

__all__ = ["CHUNK", "NAMES", "UNKNOWN", "Pool", "draw_chunk", "drawing"]

CHUNK = 500  # pairs in a folder: about 38 MB at 112 pixels
NAMES = tuple(tuple(names) for names in (PATTERNS, SHAPES, COLOURS, DEFECTS))
"""The words that the four columns of the labels count."""
UNKNOWN = 255
"""A label of what has none of the names: the pattern and colour of a photograph, a pasted defect."""
_ARRAYS = ("pictures", "masks", "labels")
_Arrays: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
_PATIENCE = 0.5  # seconds between two looks for a chunk that is being drawn


@dataclass(frozen=True)
class Pool:
    """The chunks below a folder; pair `i` lies in chunk `i // chunk` and follows from `seed`, `i` and `worn` alone.

    `size` is the side of the pictures in pixels, `chunk` the number of pairs in a folder. With a folder of
    `photographs` every second pair wears one, and chunks are named by what these hold (`worn`).
    """

    folder: Path
    size: int
    seed: int
    chunk: int = CHUNK
    photographs: Path | None = None

    @cached_property
    def worn(self) -> str:
        """The hash of the photographs' bytes, in the order of their names; empty without any.

        Raises UsageError for a folder without one.
        """
        if self.photographs is None:
            return ""
        return content_hash(b"".join(file_hash(path).encode() for path in photograph_paths(self.photographs)))

    @cached_property
    def _open(self) -> dict[int, _Arrays]:
        return {}

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.uint8]]:
        """Pictures (N, 2, S, S, 3) good and defective, masks (N, S, S), labels (N, 4) of pattern, shape, colour, kind.

        Waits for a chunk that is not there yet.
        """
        rows = self._rows(indices)
        pictures, packed, labels = (np.stack([arrays[which][at] for arrays, at in rows]) for which in range(3))
        return pictures, np.unpackbits(packed, axis=-1, count=self.size).astype(bool), labels

    def kinds(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The kinds of defects of pairs, (N,), as `NAMES[3]` counts them."""
        return np.array([labels[at, 3] for (_, _, labels), at in self._rows(indices)], int)

    def _rows(self, indices: NDArray[np.int64]) -> list[tuple[_Arrays, int]]:
        """The arrays of the chunk of each pair, and its row in them."""
        return [(self._chunk(int(index) // self.chunk), int(index) % self.chunk) for index in indices]

    def _chunk(self, number: int) -> _Arrays:
        if number not in self._open:
            place = self.folder / _folder_name(self, number)
            while not place.is_dir():
                time.sleep(_PATIENCE)
            pictures, masks, labels = (np.load(place / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
            self._open[number] = pictures, masks, labels
        return self._open[number]


@contextmanager
def drawing(pool: Pool, pairs: int, *, workers: int) -> Iterator[None]:
    """Let `workers` processes draw the first `pairs` of a pool, in order, while the block runs.

    Chunks that are there stay. With no workers they are drawn before the block begins.
    """
    numbers = [n for n in range(-(-pairs // pool.chunk)) if not (pool.folder / _folder_name(pool, n)).is_dir()]
    pool.folder.mkdir(parents=True, exist_ok=True)
    if not workers:
        for number in numbers:
            draw_chunk(pool, number)
        yield
        return
    spawn = multiprocessing.get_context("spawn")
    shares = [numbers[first::workers] for first in range(workers)]
    processes = [spawn.Process(target=_draw_all, args=(pool, share), daemon=True) for share in shares if share]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def draw_chunk(pool: Pool, number: int) -> Path:
    """Draw one chunk, of training categories and kinds alone, and give it its name when it is whole."""
    photographs = read_photographs(pool.photographs) if pool.photographs else []
    side = pool.size
    pictures = np.empty((pool.chunk, 2, side, side, 3), np.uint8)
    masks = np.empty((pool.chunk, side, -(-side // 8)), np.uint8)
    labels = np.empty((pool.chunk, 4), np.uint8)
    for row in range(pool.chunk):
        index = number * pool.chunk + row
        pair = _draw(photographs if index % 2 else [], np.random.default_rng((pool.seed, index)), side)
        pictures[row] = pair.good, pair.defective
        masks[row] = np.packbits(pair.mask, axis=-1)
        words = pair.pattern, pair.shape, pair.colour, pair.defect
        known = zip(NAMES, words, strict=True)
        labels[row] = [names.index(word) if word in names else UNKNOWN for names, word in known]

    def save(draft: Path) -> None:
        for name, array in zip(_ARRAYS, (pictures, masks, labels), strict=True):
            np.save(draft / f"{name}.npy", array)

    return written_once(pool.folder / _folder_name(pool, number), save)


def _draw(photographs: list[Photograph], draws: np.random.Generator, side: int) -> Pair:
    categories, kinds = categories_of("training"), kinds_of("training")
    if photographs:
        return draw_worn(photographs, draws, shapes=shapes_of("training"), kinds=kinds, size=side)
    category, kind = categories[draws.integers(len(categories))], kinds[draws.integers(len(kinds))]
    return draw_pair(category, kind, seed=int(draws.integers(2**53)), size=side)


def _draw_all(pool: Pool, numbers: list[int]) -> None:
    os.nice(5)
    for number in numbers:
        draw_chunk(pool, number)


def _folder_name(pool: Pool, number: int) -> str:
    return f"{pool.size}px-{f'photographs-{pool.worn[:16]}-' if pool.worn else ''}seed{pool.seed}-{number:05}"
