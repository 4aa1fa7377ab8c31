"""Parts lists: those of the package, those of one's own, and what is said of a file that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stackclip.errors import DataError
from stackclip.methods import resolve
from stackclip.prompts.parts import ANY_CATEGORY, PartsList, parts_for, read_parts
from stackclip.prompts.phrases import PARTS_TEMPLATES

PEN_BOX = {"fine": {"pen": ["pen", "ball pen"], "eraser": ["eraser"]}, "background": ["box"]}


def own(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "my.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def listed(tmp_path: Path, **facts: Any) -> PartsList:
    return read_parts(own(tmp_path, {"pen box": {**PEN_BOX, **facts}}))["pen box"]


@pytest.mark.parametrize(
    ("category", "coarse", "fine"),
    [
        ("breakfast_box", 7, 7),
        ("juice_bottle", 2, 5 + 2 + 2),  # three liquids and three fruits in place of one
        ("pushpins", 2, 2),
        ("screw_bag", 3, 4),
        ("splicing_connectors", 3, 3 + 2),  # three colours of cable in place of one
    ],
)
def test_the_lists_of_the_package_have_the_published_numbers_of_classes(category: str, coarse: int, fine: int) -> None:
    parts = read_parts(None)[category]
    assert len(parts.coarse) + len(parts.background) == coarse
    assert len(parts.fine) + 1 == fine


def test_there_are_80_different_templates() -> None:
    assert len(set(PARTS_TEMPLATES)) == 80
    assert all(template.count("{}") == 1 for template in PARTS_TEMPLATES)


def test_a_list_needs_no_more_than_its_parts(tmp_path: Path) -> None:
    parts = read_parts(own(tmp_path, {"pen box": {"fine": {"pen": ["pen"]}}}))["pen box"]
    assert parts.coarse == parts.fine == {"pen": ("pen",)}
    assert parts.background == {"background": ("background",)}
    assert (parts.clusters, parts.fine_by, dict(parts.thresholds)) == (8, "patch", {})


def test_a_background_may_be_several(tmp_path: Path) -> None:
    assert listed(tmp_path, background={"box": ["box"], "table": ["table"]}).background.keys() == {"box", "table"}


def test_a_sub_type_has_the_list_of_what_it_is_of_and_any_other_that_of_any() -> None:
    lists = read_parts(None)
    assert parts_for(lists, "juice_bottle/cherry")[0] == "juice_bottle"
    name, parts = parts_for(lists, "metal_nut")
    assert name == ANY_CATEGORY
    assert parts.called("metal nut").fine == {"metal nut": ("metal nut", "whole metal nut", "part of a metal nut")}


def test_a_category_that_a_file_does_not_list_is_said_with_the_nearest(tmp_path: Path) -> None:
    lists = read_parts(own(tmp_path, {"pen box": PEN_BOX}))
    with pytest.raises(DataError, match="no parts of 'pen bax' are listed \\(did you mean 'pen box'\\?\\)"):
        parts_for(lists, "pen bax")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("[]", "holds a list; wanted one object"),
        ("{}", "lists nothing; wanted"),
        ('{"a": {"fine": {"x": ["x"]}}, "a": {}}', "names 'a' twice"),
        ({"a": ["pen"]}, "'a' is \\['pen'\\]; wanted an object"),
        ({"a": {"background": ["box"]}}, "'a' lacks \"fine\"; wanted"),
        ({"a": {**PEN_BOX, "cluster": 3}}, "'cluster' means nothing \\(did you mean 'clusters'\\?\\)"),
        ({"a": {"fine": {}}}, "fine is {}; wanted"),
        ({"a": {"fine": {"pen": "pen"}}}, "fine, 'pen' is 'pen'; wanted a list of words"),
        ({"a": {"fine": {"pen": []}}}, "fine, 'pen' is \\[\\]; wanted a list of words"),
        ({"a": {"fine": {"pen": [3]}}}, "fine, 'pen' lists 3, which is no text"),
        ({"a": {"fine": {"pen": ["{x}"]}}}, "which has braces"),
        ({"a": {"fine": {" ": ["pen"]}}}, "has a part ' ', which is empty"),
        ({"a": {**PEN_BOX, "coarse": []}}, "coarse is \\[\\]; wanted"),
        ({"a": {**PEN_BOX, "background": "box"}}, "background is 'box'; wanted a list of words"),
        ({"a": {**PEN_BOX, "clusters": 1}}, "has 1 clusters; wanted a whole number, 2 to 256"),
        ({"a": {**PEN_BOX, "thresholds": [1]}}, "thresholds are \\[1\\]; wanted"),
        ({"a": {**PEN_BOX, "thresholds": {"pem": 0.2}}}, "name 'pem' \\(did you mean 'pen'\\?\\)"),
        ({"a": {**PEN_BOX, "thresholds": {"pen": 2}}}, "give 'pen' 2; wanted a cosine"),
        ({"a": {**PEN_BOX, "fine_by": "pixel"}}, "fine_by 'pixel'; wanted patch or region"),
    ],
)
def test_each_kind_of_bad_file_is_one_clear_line(tmp_path: Path, content: object, said: str) -> None:
    path = own(tmp_path, content)
    with pytest.raises(DataError, match=said) as caught:
        resolve(f"clip-lad[parts={path}]")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        resolve(f"clip-lad[parts={tmp_path / 'no.json'}]")
