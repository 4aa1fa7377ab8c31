"""Printed numbers: what the papers' tables say, and beside which measured rows they stand."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from stackclip.metrics import IMAGE_METRICS, PIXEL_METRICS
from stackclip.papers.published import SOURCES, Lookup, Published, joined, published
from stackclip.registry import Spec
from stackclip.reports.document import Document
from stackclip.reports.notes import notes
from stackclip.reports.table import summarise
from stackclip.reports.writers import written
from stackclip.types import Row

METRICS = {*IMAGE_METRICS, *PIXEL_METRICS}
PAPER_TOWER = {"tower": "ViT-L-14-336", "image_size": 518, "recorded": {"pretrained": "openai"}}


def row(method: str, *, train_on: tuple[str, ...] = ("visa",), test_on: str = "mvtec", **more: object) -> Row:
    """A row of one category with the metrics in `more` and the facts of a tower."""
    facts = {"tower": "stackclip-tiny", "image_size": 112, "recorded": {}, **dict(more.pop("facts", {}))}  # type: ignore[call-overload]  # a mapping
    category = str(more.pop("category", "bottle"))
    metrics: Mapping[str, float] = more  # type: ignore[assignment]  # numbers are left
    return Row(method, train_on, test_on, category, 0, 0, metrics=metrics, facts=facts)


def text_of(suffix: str, rows: list[Row], **view: Any) -> str:
    """The rows as the writer of a suffix writes them."""
    return written(Document(rows, **view), suffix)


def lines_of(source: str, table: str, **facts: object) -> list[Published]:
    chosen = [line for line in published() if (line.source, line.table) == (source, table)]
    return [line for line in chosen if all(getattr(line, name) == value for name, value in facts.items())]


def test_every_line_is_of_a_known_source_and_has_values_between_0_and_1() -> None:
    for line in published():
        assert line.source in SOURCES
        assert line.level in ("image", "pixel")
        assert line.values
        assert set(line.values) <= METRICS
        assert all(name.startswith(line.level) and 0 < value <= 1 for name, value in line.values.items()), line
        assert str(Spec.parse(line.method)) == line.method
        assert len(line.train_on) == len(set(line.train_on))


def test_no_place_of_a_table_has_two_values() -> None:
    for reference in joined(published()):
        levels = [line.level for line in reference.lines]
        assert len(levels) == len(set(levels)), reference


@pytest.mark.parametrize(
    ("train_on", "clusters", "aupro", "ap", "f1max"),
    [
        (("visa",), 1, 85.6, 40.9, 45.6),
        (("visa",), 2, 85.0, 43.4, 47.8),
        (("mvtec", "mpdd"), 1, 86.0, 44.3, 48.1),
        (("mvtec", "mpdd"), 2, 86.1, 45.5, 49.4),
        (("mvtec", "dtd-synthetic"), 1, 82.0, 35.3, 41.3),
        (("mvtec", "dtd-synthetic"), 2, 84.3, 33.7, 40.0),
        (("mvtec", "dtd-synthetic"), 3, 84.7, 35.6, 41.5),
        (("mvtec", "dagm"), 1, 89.2, 41.8, 47.4),
        (("mvtec", "dagm"), 2, 90.1, 41.5, 47.5),
        (("mvtec", "dagm"), 3, 90.5, 43.3, 48.2),
    ],
)
def test_the_lines_of_table_6_have_the_average_that_it_prints(
    train_on: tuple[str, ...], clusters: int, aupro: float, ap: float, f1max: float
) -> None:
    lines = lines_of("fuzzyclip", "6", train_on=train_on, method=f"stackclip[clusters={clusters}]")
    for metric, printed in (("pixel_AUPRO", aupro), ("pixel_AP", ap), ("pixel_F1max", f1max)):
        assert 100 * fmean(line.values[metric] for line in lines) == pytest.approx(printed, abs=0.06)


@pytest.mark.parametrize(
    ("table", "method", "dataset"),
    [("9", "sdp", "mvtec"), ("10", "sdp", "visa"), ("11", "sdp-plus", "mvtec"), ("12", "sdp-plus", "visa")],
)
@pytest.mark.parametrize("level", ["image", "pixel"])
def test_the_categories_of_clip_ad_have_the_means_of_its_table_1(
    table: str, method: str, dataset: str, level: str
) -> None:
    [mean] = lines_of("clip-ad", "1", method=method, dataset=dataset, level=level)
    lines = lines_of("clip-ad", table, level=level)
    for metric, printed in mean.values.items():
        assert 100 * fmean(line.values[metric] for line in lines) == pytest.approx(100 * printed, abs=0.07)


def test_nothing_of_the_collected_rows_is_lost(shared: Path) -> None:
    with (shared / "reference" / "paper_rows.csv").open(newline="", encoding="utf-8") as file:
        collected = list(csv.DictReader(file))
    columns = {"auroc": "AUROC", "ap": "AP", "f1_max": "F1max", "aupro": "AUPRO"}
    wanted = [
        (each["source"].replace("_", "-"), each["table"], f"{each['level']}_{ours}", round(float(each[theirs]), 2))
        for each in collected
        for theirs, ours in columns.items()
        if each[theirs]
    ]
    ours = [
        (line.source, line.table, metric, round(100 * value, 2))
        for line in published()
        for metric, value in line.values.items()
    ]
    for fact in set(wanted):
        assert ours.count(fact) >= wanted.count(fact), fact


# What fits


def found(method: str, test_on: str, *train_on: str, **words: object) -> list[tuple[str, float]]:
    """The labels and the pixel AP of what is found for a row."""
    shots, tower = int(str(words.pop("shots", 0))), words.pop("tower", "stackclip-tiny")
    measured = Row(method, train_on, test_on, "bottle", shots, 0, facts={"tower": tower})
    category = str(words.pop("category", ""))
    references = Lookup(**words).find(measured, category=category)  # type: ignore[arg-type]  # as they come
    return [(reference.label, reference.values.get("pixel_AP", 0.0)) for reference in references]


def test_a_line_is_found_by_method_data_sets_and_shots() -> None:
    assert found("stackclip", "mvtec", "visa") == [("FuzzyCLIP, table 2", 0.46)]
    assert found("stackclip", "visa", "mvtec")[0] == ("FuzzyCLIP, table 2", 0.28)
    assert found("stackclip", "mvtec", "mpdd") == []
    assert found("stackclip", "mvtec", "visa", shots=1) == []
    assert found("winclip", "mvtec", "visa", shots=4) == [("Accurate-WinCLIP", 0.422)]


def test_merged_training_sets_fit_in_any_order() -> None:
    assert found("stackclip[clusters=2]", "btad", "mpdd", "mvtec") == [("FuzzyCLIP, table 6", 0.408)]
    assert found("stackclip[clusters=2]", "btad", "mvtec") == []


def test_an_option_that_says_the_default_changes_nothing_and_another_does() -> None:
    said = found("stackclip[test=object+cluster]", "visa", "mvtec")
    assert said == found("stackclip", "visa", "mvtec")
    assert found("stackclip[test=object]", "visa", "mvtec") == [("FuzzyCLIP, table 8", 0.265)]
    assert found("stackclip[test=object,joiner=comma]", "visa", "mvtec") == []


def test_what_is_not_trained_fits_whatever_it_was_given_to_train_on() -> None:
    assert [label for label, _ in found("clip", "mvtec")] == ["FuzzyCLIP, table 1"]
    assert found("clip", "mvtec", "visa") == found("clip", "mvtec")


def test_the_same_numbers_in_two_papers_stand_once_and_other_numbers_beside_them() -> None:
    # CLIP-AD, table 1, holds all that FuzzyCLIP, table 2, takes from it; the re-implementation has other numbers.
    assert [label for label, _ in found("winclip", "mvtec", "visa")] == ["CLIP-AD, table 1", "Accurate-WinCLIP"]


def test_a_category_has_the_line_of_the_category() -> None:
    assert found("sdp", "mvtec", category="cable") == [("CLIP-AD, table 9", 0.143)]


def test_the_families_say_which_published_set_a_folder_is() -> None:
    families = {"my-mvtec": "mvtec", "visa-prepared": "visa"}
    assert found("april-gan", "my-mvtec", "visa-prepared", families=families)
    assert not found("april-gan", "other", "visa-prepared", families=families)


def test_on_other_training_data_a_line_stands_only_where_its_table_has_one() -> None:
    table_2 = tuple(lines_of("fuzzyclip", "2"))
    assert found("stackclip", "mvtec", "own", lines=table_2, any_training=True) == [("FuzzyCLIP, table 2", 0.46)]
    # Table 6 has four training sets for BTAD under two clusters: none of them is the one.
    assert found("stackclip[clusters=2]", "btad", "own", any_training=True) == []


def test_of_several_towers_in_a_table_the_one_that_was_used_is_taken() -> None:
    table_8 = tuple(lines_of("clip-ad", "8"))
    assert found("sdp", "mvtec", lines=table_8) == []
    assert found("sdp", "mvtec", lines=table_8, tower="ViT-L-14") == [("CLIP-AD, table 8", 0.348)]
    assert found("sdp", "mvtec", lines=table_8, tower="RN50") == [("CLIP-AD, table 8", 0.084)]


def test_a_setting_that_no_option_expresses_fits_nothing() -> None:
    settings = {line.setting for line in lines_of("clip-lad", "2")}
    assert settings == {"structural", "logical", "average"}
    assert found("clip-lad", "mvtec-loco", lines=tuple(lines_of("clip-lad", "3")), shots=3) == []


# What is shown


def test_the_difference_is_of_the_numbers_as_they_are_shown() -> None:
    # Measured .41249 is shown as 41.2; printed 40.8. Published AUPRO 44.0 stands under both definitions.
    measured = row("april-gan", pixel_AP=0.41249, pixel_AUPRO=0.44, pixel_AUPRO_cflow200=0.4, image_AUROC=0.8)
    [summary] = summarise([measured], published=Lookup())
    shown = {line.method.strip(): dict(zip(summary.metrics, line.cells, strict=True)) for line in summary.lines}
    assert list(shown) == ["april-gan", "FuzzyCLIP, table 2", "difference"]
    assert {name: cell.text for name, cell in shown["difference"].items()} == {
        "image_AUROC": "-6.1",
        "pixel_AP": "+0.4",
        "pixel_AUPRO": "+0.0",
        "pixel_AUPRO_cflow200": "-4.0",
    }
    assert shown["FuzzyCLIP, table 2"]["pixel_AUPRO_cflow200"].text == "44.0"


def test_printed_lines_take_no_rank_and_leave_what_they_do_not_say_empty() -> None:
    rows = [row("april-gan", pixel_AP=0.1, pixel_AUROC=0.9), row("stackclip", pixel_AP=0.2, pixel_AUROC=0.8)]
    text = text_of(".md", rows, per_category=False, metrics=("pixel_AUROC", "pixel_AP"), published=Lookup())
    assert "| april-gan | **90.0** | <u>10.0</u> |" in text
    assert "| &nbsp;&nbsp;FuzzyCLIP, table 2 |  | 40.8 |" in text
    assert "| &nbsp;&nbsp;difference |  | -30.8 |" in text
    assert "| stackclip | <u>80.0</u> | **20.0** |" in text
    text = text_of(".tex", rows, per_category=False, metrics=("pixel_AUROC", "pixel_AP"), published=Lookup())
    assert r"\quad FuzzyCLIP, table 2 &  & 40.8 \\" in text
    assert r"\quad difference &  & -30.8 \\" in text


def test_without_the_asking_tables_are_as_before() -> None:
    rows = [row("april-gan", pixel_AP=0.1)]
    assert "FuzzyCLIP" not in text_of(".md", rows, per_category=False)


def test_a_failed_cell_has_no_difference() -> None:
    failed = Row("april-gan", ("visa",), "mvtec", "bottle", 0, 0, error="it broke")
    lines = summarise([failed, row("stackclip", pixel_AP=0.2)], published=Lookup())[0].lines
    assert [(line.method.strip(), line.cells[0].value) for line in lines[:3]] == [
        ("april-gan", None),
        ("FuzzyCLIP, table 2", 0.408),
        ("difference", None),
    ]


def remarks(measured: Row, **words: object) -> str:
    return "\n".join(notes([measured], Lookup(**words)))  # type: ignore[arg-type]  # as they come


def test_the_notes_say_which_tower_was_used_and_what_follows() -> None:
    other = remarks(row("april-gan", pixel_AP=0.4))
    assert "printed for ViT-L-14-336 openai 518, measured with stackclip-tiny 112: this is no reproduction" in other
    same = remarks(row("april-gan", pixel_AP=0.4, facts=PAPER_TOWER))
    assert "measured with the same tower, ViT-L-14-336 openai 518" in same
    assert "no reproduction" not in same
    smaller = remarks(row("april-gan", pixel_AP=0.4, facts={**PAPER_TOWER, "image_size": 336}))
    assert "measured with ViT-L-14-336 openai 336: this is no reproduction" in smaller


def test_the_notes_say_what_else_differs_and_what_is_doubtful() -> None:
    said = remarks(row("april-gan", pixel_AP=0.4, facts={"asked_epochs": 1}))
    assert "mvtec has 1 of the 15 categories of mvtec, and the printed mean is over all of them" in said
    assert "asked for here, of all methods: 1" in said
    said = remarks(row("april-gan", test_on="ksdd", category="electrical-commutators", facts={"tested_pictures": 64}))
    assert "ksdd has 64 of the 399 test pictures of ksdd" in said
    said = remarks(row("stackclip", test_on="ksdd", image_AP=0.4))
    assert "suggest that the pair is (AP, AUROC)" in said
    table_2 = tuple(lines_of("fuzzyclip", "2"))
    said = remarks(row("stackclip", train_on=("own",), pixel_AP=0.4), lines=table_2, any_training=True)
    assert "trained there on visa, here on own" in said


def test_what_was_not_measured_can_be_listed() -> None:
    lookup = Lookup(lines=tuple(lines_of("fuzzyclip", "4")))
    left = lookup.unmatched([row("stacked[clusters=1]", pixel_AP=0.4)])
    assert [reference.lines[0].method for reference in left] == ["precise", "fuzzy"]
