"""A report of 1000 pictures: its size, how soon it is drawn, what it asks for; and what keeping small maps costs.

Run: pytest benchmarks/perf/test_pages.py --benchmark-only -s
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy import ndimage

from stackclip.benchmarks.sidecars import CellPictures
from stackclip.data import open_dataset, read_picture
from stackclip.metrics import PixelMetrics
from stackclip.ops.regions import label_regions
from stackclip.ops.small_maps import Looked
from stackclip.reports.document import Document
from stackclip.reports.writers import written
from stackclip.types import Row

COUNT, SIDE, GRID = 1000, 518, 37
TURNS = [None, *Image.Transpose]


def pictures(root: Path) -> None:
    """1000 different pictures of products: 50 drawn ones, turned and darkened."""
    drawn = open_dataset("synthetic[categories=5,per_category=10,train_good=1,size=224]", generated=root / "drawn")
    samples = [sample for sample in drawn.samples if sample.split == "test"]
    for number in range(COUNT):
        picture = read_picture(samples[number % len(samples)].image)
        turn = TURNS[number // len(samples) % len(TURNS)]
        turned = picture if turn is None else picture.transpose(turn)
        darker = ImageEnhance.Brightness(turned).enhance(0.7 + 0.3 * number / COUNT)
        darker.save(root / f"{number}.png")


def maps(count: int, seed: int) -> np.ndarray:
    """Maps (N, 518, 518) as a grid of patches gives them, each with a spot."""
    draws = np.random.default_rng(seed)
    y, x = np.mgrid[:GRID, :GRID]
    found = np.empty((count, SIDE, SIDE), np.float32)
    for number in range(count):
        spot = np.exp(-((x - draws.uniform(0, GRID)) ** 2 + (y - draws.uniform(0, GRID)) ** 2) / 12)
        rough = ndimage.gaussian_filter(draws.normal(size=(GRID, GRID)), 1.0)
        found[number] = ndimage.zoom(rough + draws.uniform(0, 3) * spot, SIDE / GRID, order=1)
    return found


def cell() -> CellPictures:
    looked, draws, labels = Looked(SIDE), np.random.default_rng(1), np.arange(COUNT) % 2
    for start in range(0, COUNT, 50):
        some = maps(50, start)
        masks = [(some[n] > 0.8 * some[n].max()) & bool(labels[start + n]) for n in range(50)]
        looked.add(torch.from_numpy(some), [label_regions(mask) for mask in masks])
    return CellPictures(
        ids=tuple(f"plate/test/{'dent' if label else 'good'}/{number:04}.png" for number, label in enumerate(labels)),
        images=tuple(f"{number}.png" for number in range(COUNT)),
        labels=labels.astype(np.uint8),
        defects=tuple("dent" if label else "good" for label in labels),
        masks=looked.all_masks(),
        localised=np.ones(COUNT, bool),
        scores=draws.random(COUNT) + labels * 0.4,
        levels=looked.maps.all_levels(),
        low=np.array(looked.maps.low),
        high=np.array(looked.maps.high),
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The file of a page of 1000 pictures, and the seconds that it took to write."""
    root = tmp_path_factory.mktemp("page")
    pictures(root)
    kept = cell()
    facts = {"tested": {"place": str(root), "content": "c"}}
    row = Row("method", ("train",), "set", "plate", 0, 0, {"image_AUROC": 0.8}, facts=facts)
    started = perf_counter()
    text = written(Document([row], find=lambda _: kept), ".html")
    took = perf_counter() - started
    (root / "page.html").write_text(text, "utf-8")
    return root / "page.html", took


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no browser at hand")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as started:
        yield started.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])


def drawn_after(browser: Any, file: Path, wanted: int, height: int) -> tuple[float, list[str]]:
    """Seconds until so many tiles are drawn, counted from the navigation on by the page; and what went wrong."""
    wrong: list[str] = []
    context = browser.new_context(offline=True, viewport={"width": 1400, "height": height})
    page = context.new_page()
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else wrong.append(asked.url))
    page.add_init_script(
        f"const wanted = {wanted};"
        """new MutationObserver(() => {
            const drawn = Number(document.getElementById("tiles")?.dataset.drawn ?? 0);
            if (drawn >= wanted) window.drawnAt ??= performance.now();
        }).observe(document, { subtree: true, childList: true, attributes: true });"""
    )
    page.goto(file.as_uri())
    while (at := page.evaluate("window.drawnAt")) is None:
        page.wait_for_timeout(50)
    context.close()
    return at / 1000, wrong


def test_a_page_of_1000_pictures(page: tuple[Path, float], browser: Any, figure: Callable[..., None]) -> None:
    file, took = page
    note = "1000 pictures, one method, maps of 518 x 518"
    figure("report: size of the page", file.stat().st_size / 1e6, goal="<= 4.9", unit="MB", note=note)
    figure("report: writing the page, its pictures read", took, unit="s", note=note)
    first = [drawn_after(browser, file, 12, 900) for _ in range(5)]
    every = [drawn_after(browser, file, COUNT, 60_000) for _ in range(3)]
    wrong = [each for _, found in (*first, *every) for each in found]
    figure("report: opened and the first screen drawn", sorted(first)[2][0], goal="<= 1.2", unit="s", note=note)
    figure("report: opened and all 1000 tiles drawn at once", sorted(every)[1][0], unit="s", note=note)
    figure("report: requests for anything outside the page, and errors", len(wrong), goal="<= 0", unit="", note=note)


def test_small_maps_against_the_metrics_beside_them(race: Any, figure: Callable[..., None]) -> None:
    some = maps(24, 5)
    runs = [label_regions((each > 0.9 * each.max()) & (number % 2 > 0)) for number, each in enumerate(some)]

    def measure() -> None:
        pixels = PixelMetrics()
        for each, of_mask in zip(some, runs, strict=True):
            pixels.add(each, of_mask)
        pixels.compute()

    def look() -> None:
        Looked(SIDE).add(torch.from_numpy(some), runs)

    outcome = race(look, measure, rounds=5)
    figure("small maps: time, of that of the exact pixel metrics", 1 / outcome.ratio, goal="<= .1", note="24 maps")
