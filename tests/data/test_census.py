"""The counts of the published data sets, and what is said of a folder that differs."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackclip.data import open_dataset
from stackclip.data.census import TOTAL, difference, part_of, published_categories, published_counts, published_size
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, NORMAL, Sample

TOTALS = {
    ("mvtec", ""): (3629, 0, 467, 1258),
    ("visa", ""): (8659, 0, 962, 1200),
    ("visa", "2cls_fewshot"): (1924, 240, 7697, 960),
    ("visa", "2cls_highshot"): (5773, 720, 3848, 480),
    ("btad", ""): (1799, 0, 451, 290),
    ("mpdd", ""): (888, 0, 176, 282),
    ("dagm", ""): (7004, 1046, 6996, 1054),
    ("mvtec-ad2", ""): (2528, 0, 379, 705),
    ("mvtec-ad2", "private"): (2528, 0, 2045, 0),
    ("mvtec-ad2", "private_mixed"): (2528, 0, 2045, 0),
    ("ksdd2", ""): (2085, 246, 894, 110),
    ("ksdd2", "356"): (2623, 0, 356, 356),
    ("goodsad", ""): (3136, 0, 1328, 1660),
    ("vad", ""): (2000, 1000, 1000, 1000),
    ("bmad", ""): (52742, 0, 4537, 22635),
    ("ksdd", ""): (0, 0, 347, 52),
    ("ksdd", "crops"): (0, 0, 3 * 399 - 74, 74),
    ("ksdd", "sdd"): (3 * 399 - 74 - 181, 0, 181, 74),
    ("headct", ""): (0, 0, 100, 100),
    ("brainmri", ""): (0, 0, 98, 155),
    ("cvc-clinicdb", ""): (0, 0, 0, 612),
}
VARIETY = 160  # categories of Real-IAD Variety, whose names nobody lists
CATEGORIES = {
    "mvtec": 15,
    "visa": 12,
    "btad": 3,
    "mpdd": 6,
    "dtd-synthetic": 12,
    "dagm": 10,
    "mvtec-loco": 5,
    "ksdd": 1,
    "headct": 1,
    "brainmri": 1,
    "isic": 1,
    "cvc-clinicdb": 1,
    "autovi": 6,
    "mvtec-ad2": 8,
    "goodsad": 6,
    "manta": 38,
    "ksdd2": 1,
    "vad": 1,
    "real-iad": 30,
    "bmad": 6,
}


def columns(name: str, protocol: str = "") -> Iterator[tuple[int | None, ...]]:
    rows = [counts for category, counts in published_counts(name, protocol).items() if category != TOTAL]
    return zip(*rows, strict=True)


@pytest.mark.parametrize(("name", "protocol"), TOTALS)
def test_the_categories_add_up_to_what_the_publication_says(name: str, protocol: str) -> None:
    assert tuple(sum(number or 0 for number in column) for column in columns(name, protocol)) == TOTALS[name, protocol]


def test_of_loco_and_isic_the_test_split_adds_up_and_of_dtd_only_the_whole_is_known() -> None:
    *_, good, defective = columns("mvtec-loco")
    *_, structural = columns("mvtec-loco", "structural")
    *_, logical = columns("mvtec-loco", "logical")
    assert [sum(column) for column in (good, defective, structural, logical)] == [575, 993, 432, 561]  # type: ignore[arg-type]  # no None there
    assert list(columns("isic"))[2:] == [(0,), (379,)]
    assert published_counts("dtd-synthetic")[TOTAL][2:] == (357, 947)


def test_every_published_data_set_has_a_reader_of_its_name_and_its_categories() -> None:
    for name, number in CATEGORIES.items():
        assert len(published_categories(name)) == number
        assert name in datasets
    assert published_counts("mine") == {}
    assert published_categories("mine") == ()


@pytest.mark.parametrize(("folder", "name"), [("MVTec", "mvtec"), ("MPDD", "mpdd"), ("BTAD", "btad")])
def test_the_counts_of_each_category_are_those_of_the_published_list(shared: Path, folder: str, name: str) -> None:
    lines = (shared / f"reference/splits/aa_clip_jsonl/{folder}/full-shot.jsonl").read_text().splitlines()
    listed = Counter((row["class_name"], int(row["label"])) for row in map(json.loads, lines))
    table = published_counts(name)
    assert {category for category, _ in listed} == set(table)
    for category, counts in table.items():
        assert (counts.test_good, counts.test_defective) == (listed[category, NORMAL], listed[category, ANOMALOUS])


@pytest.mark.parametrize("split_csv", ["1cls", "2cls_fewshot", "2cls_highshot"])
def test_the_counts_of_visa_are_those_of_its_lists(shared: Path, split_csv: str) -> None:
    with (shared / f"reference/splits/visa_spotdiff/split_csv/{split_csv}.csv").open(newline="") as file:
        listed = Counter((row["object"], row["split"], row["label"]) for row in csv.DictReader(file))
    table = published_counts("visa", "" if split_csv == "1cls" else split_csv)
    assert {category for category, *_ in listed} == set(table)
    for category, counts in table.items():
        kinds = [(split, label) for split in ("train", "test") for label in ("normal", "anomaly")]
        assert counts == tuple(listed[category, *kind] for kind in kinds)


@pytest.mark.parametrize(
    ("name", "protocol", "said"),
    [
        ("mpdd", "", "6 categories, train 888 good, test 176 good + 282 defective"),
        ("visa", "2cls_fewshot", "12 categories, train 1924 good + 240 defective, test 7697 good + 960 defective"),
        ("isic", "", "1 category, test 379 defective"),
        ("mvtec-ad2", "private", "8 categories, train 2528 good, test 2045 unlabelled"),
        ("real-iad-variety", "", "train 19955 good"),
        ("manta", "", "38 categories"),
        ("mine", "", ""),
    ],
)
def test_the_size_of_a_published_set_is_said_as_far_as_it_is_known(name: str, protocol: str, said: str) -> None:
    assert published_size(name, protocol) == said


def samples_of(name: str, **changed: tuple[int, int]) -> list[Sample]:
    """Samples with the published numbers of the test split, but for those of the categories named."""
    made = []
    for category, (_, _, good, defective) in published_counts(name).items():
        for label, number in zip((NORMAL, ANOMALOUS), changed.get(category, (good, defective)), strict=True):
            for index in range(number or 0):
                path = Path(f"{category}/{label}/{index}.png")
                made.append(Sample(str(path), name, category, "test", path, None, label, "x" if label else "good"))
    return made


def test_the_published_numbers_are_not_remarked_on_and_a_missing_train_split_neither() -> None:
    assert difference("mvtec", "mvtec", "", samples_of("mvtec")) == ""
    assert difference("mine", "mine", "", samples_of("mvtec")) == ""


def test_a_picture_that_lacks_is_named_with_its_category() -> None:
    said = difference("copy", "mvtec", "", samples_of("mvtec", bottle=(20, 62)))
    assert said == "copy: not mvtec as published: bottle has test 20 + 62 (published 20 + 63)"


def test_missing_categories_are_counted_and_many_differences_are_cut_short() -> None:
    samples = [sample for sample in samples_of("mpdd", tubes=(1, 1)) if sample.category != "connector"]
    assert difference("mpdd", "mpdd", "", samples) == (
        "mpdd: not mpdd as published: 5 of its 6 categories; tubes has test 1 + 1 (published 32 + 69)"
    )
    others = dict.fromkeys(published_categories("mvtec"), (1, 1))
    said = difference("mvtec", "mvtec", "", samples_of("mvtec", **others))
    assert said.endswith("; and 12 more")
    assert "\n" not in said


def test_a_sum_is_compared_where_only_that_is_known() -> None:
    made = [
        Sample(f"{category}/{index}", "d", category, "test", Path(), None, NORMAL, "good")
        for category in published_categories("dtd-synthetic")
        for index in range(30)
    ]
    assert difference("d", "dtd-synthetic", "", made) == (
        "d: not dtd-synthetic as published: the whole has test 360 + 0 (published 357 + 947)"
    )


def test_a_data_set_under_the_name_of_another_is_remarked_on() -> None:
    assert difference("mvtec", "mpdd", "", samples_of("mpdd")) == "mvtec: its categories are those of mpdd"


def pictures_of(category: str, good: int, **kinds: int) -> list[Sample]:
    """A category of which so many good pictures and so many of each kind of defect are tested."""
    return [
        Sample(f"{category}/{kind}/{number}", "d", category, "test", Path(), None, int(kind != "good"), kind)
        for kind, count in {"good": good, **kinds}.items()
        for number in range(count)
    ]


@pytest.mark.parametrize(
    "own",
    [
        pytest.param(pictures_of("tile", 5, crack=3), id="one name"),
        pytest.param(pictures_of("bottle", 5, broken_large=2, broken_small=2), id="one name, and its defects"),
        pytest.param(
            pictures_of("tile", 5, scratch=3) + pictures_of("wood", 5, scratch=3), id="two names of everyday things"
        ),
        pytest.param(
            pictures_of("pcb1", 9, bad=9) + pictures_of("pcb2", 9, bad=9), id="two names whose defects are bad"
        ),
        pytest.param(
            pictures_of("hazelnut", 90, crack=9, cut=9) + pictures_of("tile", 90, oil=9, rough=9), id="more pictures"
        ),
        pytest.param(
            pictures_of("hazelnut", 9, crack=9, cut=9) + pictures_of("jug", 9, dent=9), id="a name that is none of it"
        ),
        pytest.param(pictures_of("01", 100, ko=50), id="a number"),
        pytest.param([], id="nothing"),
    ],
)
def test_names_that_are_shared_do_not_make_ones_own_pictures_published(own: list[Sample]) -> None:
    assert part_of(own) == ""


@pytest.mark.parametrize(
    ("part", "published"),
    [
        pytest.param(pictures_of("bottle", 20, contamination=63), "mvtec", id="one category with its very counts"),
        pytest.param(
            pictures_of("hazelnut", 4, crack=2, cut=2) + pictures_of("cable", 4, combined=2, bent_wire=2),
            "mvtec",
            id="fewer pictures of several kinds",
        ),
        pytest.param(
            pictures_of("pcb1", 100, bad=100) + pictures_of("candle", 9, bad=9) + pictures_of("pcb4", 101, bad=100),
            "visa",
        ),
        pytest.param([s for name in published_categories("visa")[:7] for s in pictures_of(name, 1, bad=1)], "visa"),
        pytest.param(pictures_of("screw_bag", 122, logical_anomalies=137, structural_anomalies=82), "mvtec-loco"),
    ],
)
def test_content_tells_which_published_data_set_pictures_are_of(part: list[Sample], published: str) -> None:
    assert part_of(part) == published


def test_a_real_subset_is_no_published_data_set_and_says_so(shared: Path, tmp_path: Path) -> None:
    found = open_dataset("mvtec-mini", data_root=shared / "data", generated=tmp_path)
    assert found.family == "mvtec"
    assert found.remark == (
        "mvtec-mini: not mvtec as published: 2 of its 15 categories;"
        " hazelnut has train 30 + 0 (published 391 + 0), test 22 + 8 (published 40 + 70);"
        " transistor has train 30 + 0 (published 213 + 0), test 22 + 8 (published 60 + 40)"
    )
    ksdd = open_dataset("ksdd-mini", data_root=shared / "data", generated=tmp_path)
    assert ksdd.family == "ksdd"
    assert ksdd.remark.endswith("electrical-commutators has test 56 + 8 (published 347 + 52)")


def test_the_page_of_data_sets_gives_the_numbers_of_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs/datasets.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (\d+) \| (?:(\d+) \+ (\d+)|not known) \|", page, re.MULTILINE)
    anyones = {name for name in datasets.names() if getattr(datasets.create(name), "named_by_folder", False)}
    assert {name for name, *_ in rows} == set(datasets.names()) - {*anyones, "synthetic", "synthetic-logical"}
    for name, number, good, defective in rows:
        counts = published_counts(getattr(datasets.create(name), "published", name))
        whole = [counts[TOTAL]] if TOTAL in counts else list(counts.values())
        assert int(number) == (len(published_categories(getattr(datasets.create(name), "published", name))) or VARIETY)
        tests = [row[2:] for row in whole]
        known = [sum(column) for column in zip(*tests, strict=True)] if None not in sum(tests, ()) else []  # type: ignore[arg-type]  # no None there
        assert [int(good), int(defective)] == known if good else not known
