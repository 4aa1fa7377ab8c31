"""Lists of training pictures: what their lines name, and what is said of those that name nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackclip.data import Dataset
from stackclip.data.chosen import listed_samples
from stackclip.errors import DataError
from stackclip.types import Sample


def dataset(name: str, *ids: str) -> Dataset:
    samples = tuple(
        Sample(
            each,
            name,
            each.split("/")[0],
            "train" if "train" in each else "test",
            Path(each),
            None,
            int("bad" in each),
            "x",
        )
        for each in ids
    )
    return Dataset(name, Path(name), "toy", samples, name)


VISA = dataset(
    "visa", "candle/train/good/0.png", "candle/test/good/1.png", "candle/test/bad/1.png", "pcb1/test/bad/1.png"
)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(*lines: dict[str, Any] | str, ending: str = "\n") -> Path:
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path = tmp_path / "16-shot.jsonl"
        path.write_bytes(ending.join(texts).encode())
        return path

    return write


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n"])
def test_lines_name_pictures_by_as_much_of_their_path_as_is_needed(write: Write, ending: str) -> None:
    path = write(
        {"image_path": "data/VisA/candle/test/bad/1.png", "label": 1, "class_name": "candle", "mask_path": "x"},
        {"img_path": ".\\candle\\train\\good\\0.png", "anomaly": 0.0},
        {"image_path": "pcb1/test/bad/1.png"},
        "",
        ending=ending,
    )
    found = listed_samples(path, [VISA])
    assert [each.id for each in found] == ["candle/train/good/0.png", "candle/test/bad/1.png", "pcb1/test/bad/1.png"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            [{"image_path": "bad/1.png"}],
            "line 1: bad/1.png may be visa/candle/test/bad/1.png and visa/pcb1/test/bad/1.png: name",
        ),
        ([{"image_path": "candle/test/bad/7.png"}], "line 1: no picture candle/test/bad/7.png in what is trained on$"),
        (
            [{"image_path": "other/1.png"}],
            "line 1: no picture other/1.png .*; visa/candle/test/good/1.png has its name, in",
        ),
        (
            [{"image_path": "good/1.png"}, {"image_path": "candle/test/good/1.png"}],
            "line 2: .* named before, in line 1",
        ),
        (
            [{"image_path": "good/1.png", "label": 1}],
            "line 1: good/1.png has the label 1, and 0 in visa: this is the list of",
        ),
        ([{"image_path": "good/1.png", "label": "good"}], "line 1: the label is 'good'; wanted 0 .normal. or 1"),
        (
            [{"mask_path": "good/1.png"}],
            "line 1: names no picture by image_path, img_path, image, path; wanted one JSON",
        ),
        ([{"image_path": 3}], "line 1: names no picture"),
        (["[1]"], "line 1: names no picture"),
        (["image_path,label"], "line 1: is not JSON"),
        ([""], "names no picture; wanted one JSON object a line"),
        (["\x00"], "line 1: is not JSON"),
    ],
)
def test_what_names_no_picture_is_refused_by_its_line(write: Write, lines: list[Any], said: str) -> None:
    with pytest.raises(DataError, match=f"16-shot.jsonl: {said}"):
        listed_samples(write(*lines), [VISA])


def test_a_list_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.jsonl").write_bytes(b'{"image_path": "caf\xe9.png"}')
    for name, said in (("none.jsonl", "cannot be read"), ("", "cannot be read"), ("latin.jsonl", "is no text")):
        with pytest.raises(DataError, match=said):
            listed_samples(tmp_path / name, [VISA])


def test_two_data_sets_may_be_listed_in_one_file(write: Write) -> None:
    path = write({"image_path": "mvtec/hazelnut/test/bad/1.png"}, {"image_path": "visa/candle/test/good/1.png"})
    found = listed_samples(path, [VISA, dataset("mvtec", "hazelnut/test/bad/1.png")])
    assert [each.key for each in found] == ["visa/candle/test/good/1.png", "mvtec/hazelnut/test/bad/1.png"]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("good", "are normal: no method can learn anomalous ones"),
        ("bad", "are anomalous: no method can learn normal ones"),
    ],
)
def test_a_list_of_one_side_alone_is_said(
    write: Write, caplog: pytest.LogCaptureFixture, named: str, said: str
) -> None:
    ids = [sample.id for sample in VISA.samples]
    listed_samples(write(*({"image_path": each} for each in ids if named in each)), [VISA])
    [record] = caplog.records
    assert said in record.getMessage()
    caplog.clear()
    listed_samples(write(*({"image_path": each} for each in ids)), [VISA])
    assert not caplog.records
