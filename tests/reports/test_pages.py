"""The page as a real browser shows it: it recounts, filters, sorts and saves as it says, asks for nothing, and nothing
in a name acts.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from stackclip.benchmarks.facts import found_at
from stackclip.benchmarks.intervals import draw_facts
from stackclip.benchmarks.sidecars import CellPictures
from stackclip.metrics.evidence import Evidence
from stackclip.reports.document import Document
from stackclip.reports.exhibits import Exhibit
from stackclip.reports.writers import written
from stackclip.types import Row

if TYPE_CHECKING:
    from playwright.sync_api import Page

TALL = {"width": 1400, "height": 4000}  # pixels: all tiles are near
Visit = Callable[..., "Page"]
RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
HACK = "</script><img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
ACTS = f"{HACK}\x1b[2J\u202egnp\u2066\"'&lt;\nnext --><!--{{{{7*7}}}}"
METHODS = ("plain", f"=1+1{ACTS}", "mapless")
CATEGORIES = ("bolt", f"@SUM(1){ACTS}")
COUNT = 16
LABELS = np.arange(COUNT) % 2


@dataclass(frozen=True)
class Shown:
    """A document with pictures, and the file that its page is in."""

    document: Document
    file: Path

    def exhibit(self, method: str, category: str) -> Exhibit:
        [found] = [e for e in self.document.exhibits if (e.method, e.category) == (method, category)]
        return found


def cell(root: Path, method: int, category: int) -> CellPictures:
    """Pictures with a bright spot each, which the maps see more or less well."""
    draws = np.random.default_rng([method, category])
    labels = LABELS
    y, x = np.mgrid[:64, :64]
    spots = np.stack([np.exp(-((x - 8 - 3 * n) ** 2 + (y - 30) ** 2) / 60) for n in range(COUNT)])
    high = draws.random(COUNT) + labels * 0.6
    names = [f"{category}/{number}.png" for number in range(COUNT)]
    return CellPictures(
        ids=(f"-2+3{ACTS}.png", *names[1:]),
        images=tuple(names),
        labels=labels.astype(np.uint8),
        defects=tuple(f"dent{ACTS}" if label else "good" for label in labels),
        masks=(spots > 0.5) & (labels == 1)[:, None, None],
        localised=np.ones(COUNT, bool),
        scores=np.round(draws.random(COUNT) + labels * 0.3, 2),
        levels=None if method == 2 else np.round(spots / spots.max((1, 2), keepdims=True) * 255).astype(np.uint8),
        low=None if method == 2 else np.zeros(COUNT),
        high=None if method == 2 else high,
    )


def row(method: str, category: str, seed: int = 0) -> Row:
    number = METHODS.index(method) + 2 * CATEGORIES.index(category)
    metrics = {"image_AUROC": 0.9 - 0.1 * number, **({"pixel_AUPRO": 0.5 + number / 10} if method != "mapless" else {})}
    kinds = {f"dent{ACTS}": {"pictures": 8, "metrics": {"image_AUROC": 0.5}}}
    facts = {"by_defect": kinds, "note": f"note{ACTS}", "tower": "tower", "scores": {"1": 0.5, "2": 0.25}}
    facts |= {"tested": {"place": "", "content": category}}
    facts |= draw_facts(Evidence(LABELS, LABELS + 2 * np.random.default_rng(number).random(COUNT)), "0" * 32)
    undefined = {} if "pixel_AUPRO" in metrics else {"pixel_AUPRO": f"no maps{ACTS}"}
    return Row(method, ("train",), "set", category, 0, seed, metrics, undefined, facts=facts)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    root = tmp_path_factory.mktemp("shown")
    for category in range(2):
        (root / str(category)).mkdir()
        for number in range(COUNT):
            Image.effect_noise((60, 90), 50 + number).convert("RGB").save(root / str(category) / f"{number}.png")
    rows = [row(method, category) for method in METHODS for category in CATEGORIES]
    rows = [found_at(each, str(root)) for each in rows]
    found = {
        (each.method, each.category): cell(root, METHODS.index(each.method), CATEGORIES.index(each.category))
        for each in rows
    }
    document = Document(rows, ci=True, find=lambda each: found[each.method, each.category])
    file = root / "page.html"
    file.write_text(written(document, ".html"), "utf-8")
    return Shown(document, file)


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the texts of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.inside = Counter[str](), list[tuple[str, str]](), list[tuple[str, str]]()
        self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self._tag = tag
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style"):
            self.inside.append((self._tag, data))
            self._tag = ""


def test_equal_documents_give_equal_bytes_and_hashes_that_fit(shown: Shown) -> None:
    text = shown.file.read_text("utf-8")
    again = Document(shown.document.rows, ci=True, find=shown.document.find)
    assert written(again, ".html") == text
    found = Elements(text)
    [policy] = [value for name, value in found.attributes if name == "content" and "default-src" in value]
    said = {tag: re.findall(rf"{tag}-src '(sha256-[^']+)'", policy) for tag in ("script", "style")}
    for tag in ("script", "style"):
        [content] = [text for name, text in found.inside if name == tag and not text.startswith("{")]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert said[tag] == [f"sha256-{digest}"]
    assert policy.startswith("default-src 'none'; ")
    assert not [value for name, value in found.attributes if name in ("style", "src") or name.startswith("on")]
    assert not [value for name, value in found.attributes if name == "href" and not value.startswith("#")]


def test_no_name_is_markup_and_none_acts(shown: Shown) -> None:
    text = shown.file.read_text("utf-8")
    assert not RAW.search(text)
    found = Elements(text)
    assert found.tags["script"] == 2
    assert found.tags["img"] == 0
    assert "{{7*7}}" in text  # no template either
    assert len([line for line in text.splitlines() if line.startswith("next")]) == 0


def choose(page: Page, method: int, category: int) -> None:
    page.locator("#method").select_option(index=method)
    page.locator("#category").select_option(index=category)


def counts(page: Page) -> list[int]:
    return [int(text) for text in page.locator("#counts b").all_text_contents()]


def counted_by_hand(exhibit: Exhibit, limit: float) -> list[int]:
    called, bad = exhibit.said >= limit, exhibit.pictures.labels == 1
    return [int(np.sum(each)) for each in (called & bad, ~called & bad, called & ~bad, ~called & ~bad)]


def test_the_page_opens_at_the_worst_method_and_says_what_it_misses(shown: Shown, visit: Visit) -> None:
    from playwright.sync_api import expect

    page = visit(shown.file)
    expect(page.locator(".brief").first).to_contain_text("Worst of 3 methods is mapless with image AUROC 60.0")
    expect(page.locator(".brief pre").first).to_contain_text(",mapless' --")  # with the others that the page shows
    expect(page.locator("#method")).to_have_value("mapless")
    expect(page.locator(".tile").first.locator(".none")).to_have_text("no map: this method gives none")
    assert page.evaluate("window.hacked") is None
    expect(page.locator("img")).to_have_count(0)


def test_the_slider_recounts_at_every_step_and_moves_the_contour(shown: Shown, visit: Visit) -> None:
    from playwright.sync_api import expect

    page = visit(shown.file, viewport=TALL)
    choose(page, 0, 0)
    exhibit = shown.exhibit("plain", "bolt")
    assert exhibit.threshold is not None
    assert counts(page) == counted_by_hand(exhibit, exhibit.threshold)
    limits = [*sorted(set(exhibit.said.tolist())), np.inf]
    slider = page.locator("#threshold")
    assert int(slider.get_attribute("max") or 0) == len(limits) - 1
    for place in (0, len(limits) // 2, len(limits) - 2, len(limits) - 1):
        slider.fill(str(place))
        assert counts(page) == counted_by_hand(exhibit, limits[place])
        # As many maps reach the contour's level as scores reach the threshold; no colour of a map is white.
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        expect(page.locator("#tiles")).to_have_attribute("data-drawn", str(COUNT))
        outlined = page.evaluate(
            """() => [...document.querySelectorAll(".tile canvas:last-of-type")].filter((canvas) => {
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                return data.some((_, n) => n % 4 === 0 && data[n] + data[n + 1] + data[n + 2] > 755);
            }).length"""
        )
        assert outlined == int(np.sum(exhibit.said >= limits[place]))
    page.locator("#reset").click()
    assert counts(page) == counted_by_hand(exhibit, exhibit.threshold)


def test_tiles_come_the_worst_first_and_are_filtered(shown: Shown, visit: Visit) -> None:
    from playwright.sync_api import expect

    page = visit(shown.file)
    choose(page, 1, 0)
    exhibit = shown.exhibit(METHODS[1], "bolt")
    names = page.locator(".tile .name").all_text_contents()
    place_of = {name: place for place, name in enumerate(exhibit.pictures.ids)}
    assert [place_of.get(name, 0) for name in names] == list(exhibit.worst_first)
    for value, places in (("missed", exhibit.missed), ("false alarm", exhibit.false)):
        page.locator("#verdict").select_option(value)
        expect(page.locator(".tile")).to_have_count(len(places))
        assert all(value in text for text in page.locator(".tile .verdict").all_text_contents())
    page.locator("#verdict").select_option("all")
    page.locator("#category").select_option("all")
    expect(page.locator(".tile")).to_have_count(2 * COUNT)
    expect(page.locator("#threshold-box")).to_be_hidden()
    expect(page.locator("#several")).to_be_visible()


def test_the_keyboard_goes_from_tile_to_tile_and_into_a_picture(shown: Shown, visit: Visit) -> None:
    from playwright.sync_api import expect

    page = visit(shown.file)
    choose(page, 0, 0)
    tiles, dialog = page.locator(".tile"), page.locator("dialog")
    tiles.first.focus()
    page.keyboard.press("ArrowRight")
    expect(tiles.nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(tiles.last).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    name = tiles.first.locator(".name").text_content()
    expect(page.locator("#large-name")).to_have_text(name or "")
    expect(dialog.locator("figure")).to_have_count(
        1 + len(METHODS) + (", good" not in (tiles.first.text_content() or ""))
    )
    page.keyboard.press("ArrowRight")
    expect(page.locator("#large-name")).to_have_text(tiles.nth(1).locator(".name").text_content() or "")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(tiles.nth(1)).to_be_focused()


def test_scores_are_saved_as_a_table_in_which_nothing_runs(shown: Shown, visit: Visit, tmp_path: Path) -> None:
    page = visit(shown.file)
    choose(page, 1, 1)
    with page.expect_download() as saved:
        page.locator("#csv").click()
    saved.value.save_as(tmp_path / "scores.csv")
    text = (tmp_path / "scores.csv").read_text("utf-8")
    assert not RAW.search(text)
    lines = list(csv.DictReader(text.splitlines()))
    exhibit = shown.exhibit(METHODS[1], CATEGORIES[1])
    assert [float(line["score"]) for line in lines] == [exhibit.said[place] for place in exhibit.worst_first]
    assert not [cell for line in lines for cell in line.values() if cell.startswith(("=", "+", "-", "@"))]
    assert lines[0]["method"].startswith("'=1+1")
    assert lines[0]["category"].startswith("'@SUM")
    assert Counter(line["verdict"] for line in lines)["missed"] == len(exhibit.missed)


def test_heads_sort_their_table_and_figures_that_lack_stay_last(shown: Shown, visit: Visit) -> None:
    page = visit(shown.file)
    table = page.locator("table").first

    def first_cells() -> list[str]:
        return [text.partition("<")[0] for text in table.locator("tbody td:first-child").all_text_contents()]

    head = table.locator("th").filter(has_text="pixel AUPRO").locator("button")
    head.click()
    assert first_cells() == ["=1+1", "plain", "mapless"]
    head.click()
    assert first_cells() == ["plain", "=1+1", "mapless"]
    assert table.locator("th").filter(has_text="pixel AUPRO").get_attribute("aria-sort") == "ascending"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_width_in_both_colours_and_prints(
    shown: Shown, visit: Visit, tmp_path: Path, scheme: str
) -> None:
    page = visit(shown.file, color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) > 384) == (scheme == "light")
    for width in (400, 900, 2000):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        cells = "[...document.querySelectorAll('td, th')].filter((cell) => cell.scrollWidth > cell.clientWidth + 1)"
        assert page.evaluate(f"{cells}.length") == 0
    assert page.locator("td .between").count() > 0
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.pdf()[:5] == b"%PDF-"


def test_where_pictures_are_gone_maps_stand_alone_and_that_is_said(shown: Shown, visit: Visit, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    rows = [found_at(each, "/nowhere") for each in shown.document.rows]
    file = tmp_path / "gone.html"
    file.write_text(written(Document(rows, find=shown.document.find), ".html"), "utf-8")
    page = visit(file, viewport=TALL)
    expect(page.get_by_text(f"{2 * COUNT} pictures are no longer where they lay")).to_be_visible()
    expect(page.locator("#tiles")).to_have_attribute("data-drawn", str(COUNT))


def test_rows_without_pictures_make_a_leaderboard_and_say_the_command(
    shown: Shown, visit: Visit, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    file = tmp_path / "old.html"
    file.write_text(written(Document(shown.document.rows), ".html"), "utf-8")
    page = visit(file)
    expect(page.locator("#gallery")).to_have_count(0)
    expect(page.get_by_text("6 of 6 cells have no scores of single pictures")).to_be_visible()
    expect(page.locator("pre").filter(has_text="--overwrite always")).to_have_count(1)
    expect(page.locator("#leaderboard tbody").first).to_contain_text("plain")
