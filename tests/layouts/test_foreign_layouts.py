"""Trees as other projects and people lay them out: what is read, or the words that refuse; nothing without a word."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.data import Dataset, open_dataset
from stackclip.errors import DataError
from stackclip.ops.outputs import mark_output
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS

VOC_BOX = "<object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object>"
GOOD, DEFECTIVE, UNKNOWN = "good", "defective", "unlabelled"


def picture(path: Path) -> None:
    """A textured picture, no two alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = int.from_bytes(os.fsencode(path.name)[-8:], "little") + len(str(path))
    Image.fromarray(np.random.default_rng(seed).integers(60, 200, (12, 12, 3), dtype=np.uint8)).save(path)


def mask(path: Path, *, empty: bool = False) -> None:
    """A mask, 0 and 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((12, 12), np.uint8)
    values[3:9, 2:8] = 0 if empty else 255
    Image.fromarray(values).save(path)


def text(path: Path, content: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def build(root: Path, names: str) -> Path:
    """Pictures at the names given, + a space; masks where they begin with `=`, empty ones with `0`, texts with `~`."""
    for name in names.split():
        maker: Callable[[Path], None] = {"=": mask, "0": black, "~": text}.get(name[0], picture)
        maker(root / name.lstrip("=0~").replace("+", " "))
    return root


def black(path: Path) -> None:
    mask(path, empty=True)


@dataclass(frozen=True)
class Tree:
    """What lies below a root, and what it is read as: `PICTURE LABEL [MASK]`, words of the finding, or the refusal."""

    names: str
    read: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    refused: str = ""


FLAT = ("good/a.png good", "crack/b.png defective {0}/b.png")
TREES = {
    **{
        f"{masks}/ flat beside good/ and crack/": Tree(
            f"good/a.png crack/b.png ={masks}/b.png",
            tuple(line.format(masks.replace("+", " ")) for line in FLAT),
            ("1 masks",),
        )
        for masks in ("mask", "masks", "gt", "label", "labels", "annotations", "Ground_Truth", "Masks", "Ground+Truth")
    },
    "masks by defect": Tree(
        "good/a.png crack/b.png hole/b.png =masks/crack/b.png =masks/hole/b_GT.png",
        ("good/a.png good", "crack/b.png defective masks/crack/b.png", "hole/b.png defective masks/hole/b_GT.png"),
    ),
    "flat masks whose stem two defects have": Tree(
        "good/a.png crack/b.png hole/b.png =masks/b.png", refused="the mask of .*crack/b.png and of .*hole/b.png"
    ),
    "masks beside pictures by suffix": Tree(
        "good/a.jpg crack/b.jpg =crack/b_mask.png crack/c.jpg =crack/c_label.png crack/d.jpg =crack/d_gt.png",
        (
            "good/a.jpg good",
            "crack/b.jpg defective crack/b_mask.png",
            "crack/c.jpg defective crack/c_label.png",
            "crack/d.jpg defective crack/d_gt.png",
        ),
    ),
    "masks beside pictures by extension": Tree(
        "good/a.jpg crack/b.jpg =crack/b.png", ("good/a.jpg good", "crack/b.jpg defective crack/b.png")
    ),
    "two pictures of one stem among defects": Tree(
        "good/a.jpg crack/b.jpg crack/b.png", refused="its mask, or a picture twice"
    ),
    "a sibling folder of masks": Tree(
        "good/a.png crack/b.png =crack_mask/b.png", ("good/a.png good", "crack/b.png defective crack_mask/b.png")
    ),
    "a folder of masks in the defect's": Tree(
        "good/a.png crack/img/b.png =crack/label/b.png",
        ("good/a.png good", "crack/img/b.png defective crack/label/b.png"),
    ),
    "a folder of two-valued pictures of another's stems": Tree(
        "good/a.png crack/b.png =painted/b.png", ("good/a.png good", "crack/b.png defective painted/b.png")
    ),
    "masks of no picture": Tree("good/a.png crack/b.png =masks/z.png", refused="none of the masks in .* name of a"),
    "masks of the defect misspelt": Tree(
        "good/a.png crack/a.png =masks/crak/a.png", refused="none of the masks in .* name of a"
    ),
    "masks in two places": Tree(
        "good/a.png crack/b.png =masks/b.png =crack/b_mask.png",
        refused="both hold masks of .*crack; call the folder of its own crack_mask",
    ),
    "masks of good pictures": Tree(
        "good/a.png crack/b.png =masks/good/a.png =masks/crack/b.png",
        ("good/a.png good", "crack/b.png defective masks/crack/b.png"),
        ("1 mask of good pictures left out (masks/good/a.png)",),
    ),
    "images/ and masks/ by label": Tree(
        "images/good/a.png images/crack/b.png =masks/crack/b.png",
        ("images/good/a.png good", "images/crack/b.png defective masks/crack/b.png"),
    ),
    "images/ and masks/ without labels": Tree(
        "images/a.png images/b.png =masks/b.png",
        ("images/a.png unlabelled", "images/b.png unlabelled"),
        ("1 mask of unlabelled pictures left out (masks/b.png)",),
    ),
    "loose pictures beside ok/": Tree("ok/a.png b.png", refused=r"b\.png: beside folders that are labels"),
    **{
        f"{good}/ for good pictures": Tree(f"{good}/a.png dent/b.png", (f"{good}/a.png good", "dent/b.png defective"))
        for good in ("defect_free", "OK", "pass", "Non-Defective", "no_defect", "IO", "defect-free", "nondefective")
    },
    "labels too deep": Tree("line1/caps/good/a.png line1/caps/dent/b.png", refused="good/ lies deeper than its tree"),
    "MVTec layout, masks/ flat": Tree(
        "nut/train/good/a.png nut/test/good/b.png nut/test/bent/c.png =nut/masks/c.png",
        ("nut/train/good/a.png good", "nut/test/good/b.png good", "nut/test/bent/c.png defective nut/masks/c.png"),
    ),
    "MVTec layout, masks in test/": Tree(
        "nut/test/good/b.png nut/test/bent/c.png =nut/test/mask/c.png",
        ("nut/test/good/b.png good", "nut/test/bent/c.png defective nut/test/mask/c.png"),
    ),
    "MVTec layout, Train and Test": Tree(
        "nut/Train/good/a.png nut/Test/good/b.png nut/Test/bent/c.png",
        ("nut/Train/good/a.png good", "nut/Test/good/b.png good", "nut/Test/bent/c.png defective"),
    ),
    "MVTec layout, validation": Tree(
        "nut/train/good/a.png nut/validation/good/v.png nut/test/good/b.png nut/test/bent/c.png",
        ("nut/train/good/a.png good", "nut/test/good/b.png good", "nut/test/bent/c.png defective"),
        ("1 other picture left out (nut/validation/good/v.png)",),
    ),
    "VisA prepared in two classes": Tree(
        "pcb1/train/good/a.png pcb1/train/bad/b.png pcb1/test/good/c.png pcb1/test/bad/b.png"
        " =pcb1/ground_truth/train/bad/b.png =pcb1/ground_truth/test/bad/b.png",
        (
            "pcb1/train/good/a.png good",
            "pcb1/train/bad/b.png defective pcb1/ground_truth/train/bad/b.png",
            "pcb1/test/good/c.png good",
            "pcb1/test/bad/b.png defective pcb1/ground_truth/test/bad/b.png",
        ),
    ),
    "Eyecandies": Tree("lolly/train/data/0.png lolly/test_public/data/0.png", refused="data: no label; wanted"),
    "YOLO": Tree("train/images/a.jpg ~train/labels/a.txt ~data.yaml", refused="images: no label; wanted"),
    "KolektorSDD2": Tree(
        "train/1.png 0train/1_GT.png test/2.png =test/2_GT.png",
        ("train/1.png good", "test/2.png defective test/2_GT.png"),
    ),
    "MVTec AD 2": Tree(
        "can/train/good/0_regular.png can/validation/good/1_regular.png can/test_public/good/0_regular.png"
        " can/test_public/bad/0_regular.png =can/test_public/ground_truth/bad/0_regular_mask.png"
        " can/test_private/0_regular.png can/test_private_mixed/0_mixed.png",
        (
            "can/train/good/0_regular.png good",
            "can/validation/good/1_regular.png good",
            "can/test_public/good/0_regular.png good",
            "can/test_public/bad/0_regular.png defective can/test_public/ground_truth/bad/0_regular_mask.png",
        ),
        ("2 other pictures left out", "can/test_private/0_regular.png", "validation 1 good"),
    ),
    "Real-IAD without lists": Tree(
        "pcb/OK/S0001/pcb_1_OK_C1.jpg pcb/NG/HS/S0001/pcb_1_NG_HS_C1.jpg =pcb/NG/HS/S0001/pcb_1_NG_HS_C1.png"
        " pcb/NG/HS/S0001/pcb_1_NG_HS_C2.jpg",
        (
            "pcb/OK/S0001/pcb_1_OK_C1.jpg good",
            "pcb/NG/HS/S0001/pcb_1_NG_HS_C1.jpg defective pcb/NG/HS/S0001/pcb_1_NG_HS_C1.png",
            "pcb/NG/HS/S0001/pcb_1_NG_HS_C2.jpg good",
        ),
    ),
    "BMAD, label then img": Tree(
        "Brain/train/good/img/1.png Brain/valid/good/img/2.png Brain/test/good/img/3.png Brain/test/Ungood/img/4.png"
        " =Brain/test/Ungood/anomaly_mask/4.png 0Brain/test/good/label/3.png",
        (
            "Brain/train/good/img/1.png good",
            "Brain/valid/good/img/2.png good",
            "Brain/test/good/img/3.png good",
            "Brain/test/Ungood/img/4.png defective Brain/test/Ungood/anomaly_mask/4.png",
        ),
        ("validation 1 good",),
    ),
    "BMAD, img then label": Tree(
        "test/img/good/3.png test/img/Ungood/4.png =test/label/Ungood/4.png train/img/good/1.png",
        (
            "train/img/good/1.png good",
            "test/img/good/3.png good",
            "test/img/Ungood/4.png defective test/label/Ungood/4.png",
        ),
    ),
    "BMAD, RESC": Tree(
        "Train/train/good/1.png Test/test/good/2.png Test/test/Ungood/3.png =Test/test_label/Ungood/3.png",
        (
            "Train/train/good/1.png good",
            "Test/test/good/2.png good",
            "Test/test/Ungood/3.png defective Test/test_label/Ungood/3.png",
        ),
    ),
    "Pascal VOC": Tree(
        "JPEGImages/a.jpg ~Annotations/a.xml =SegmentationClass/a.png ~ImageSets/Main/all.txt",
        ("JPEGImages/a.jpg unlabelled",),
        ("1 mask of unlabelled pictures left out (SegmentationClass/a.png)", "2 other files left out: 1 .xml, 1 .txt"),
    ),
    "files of other kinds": Tree(
        "good/a.png crack/b.png ~crack/c.gif ~crack/d.dcm ~crack/e.gif",
        ("good/a.png good", "crack/b.png defective"),
        ("3 other files left out: 2 .gif, 1 .dcm",),
    ),
}


def summary(found: Dataset) -> set[str]:
    lines = set()
    for sample in found.samples:
        label = DEFECTIVE if sample.label == ANOMALOUS else UNKNOWN if sample.defect == UNKNOWN else GOOD
        where = sample.mask.relative_to(found.root).as_posix() if sample.mask else ""
        lines.add(f"{sample.id} {label} {where}".rstrip())
    return lines


def accounted(found: Dataset) -> int:
    """How many files the finding says were left out."""
    parts = found.finding.split(", ")
    nouns = ("other picture", "mask without", "masks without", "mask of", "masks of", "other file")
    return sum(int(part.split()[0]) for part in parts if part[:1].isdigit() and any(noun in part for noun in nouns))


@pytest.mark.parametrize("name", TREES)
def test_each_tree_is_read_as_it_was_meant_or_refused_in_words(tmp_path: Path, name: str) -> None:
    tree = TREES[name]
    root = build(tmp_path / "parts", tree.names)
    if tree.refused:
        with pytest.raises(DataError, match=tree.refused):
            open_dataset(str(root), generated=tmp_path)
        return
    found = open_dataset(str(root), generated=tmp_path)
    assert summary(found) == set(tree.read)
    for word in tree.words:
        assert word in found.finding
    assert unaccounted(found) == 0


def unaccounted(found: Dataset) -> int:
    """How many files below the root are no sample's, and not among those that the finding says were left out."""
    consumed = {path for sample in found.samples for path in (sample.image, sample.mask) if path}
    files = {path for path in found.root.rglob("*") if path.is_file()}
    reader = datasets.create(found.layout)
    spare = {path for path in files - consumed if hasattr(reader, "spare") and reader.spare(path, found.root)}
    return len(files - consumed - spare) - accounted(found)


WORDS = ("good", "ok", "crack", "hole", "masks", "gt", "label", "train", "test", "images", "ground_truth", "crack_mask")


@pytest.mark.parametrize("seed", range(60))
def test_of_any_tree_every_file_is_read_or_counted_or_the_tree_is_refused(tmp_path: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    root = tmp_path / "parts"
    for _ in range(int(draw.integers(2, 14))):
        folder = root.joinpath(*draw.choice(WORDS, draw.integers(0, 4)))
        stem = f"{draw.choice(('1', '2', '3'))}{draw.choice(('', '', '_mask', '_gt'))}"
        maker = (picture, picture, mask, text)[draw.integers(4)]
        maker(folder / f"{stem}{'.xml' if maker is text else draw.choice(('.png', '.jpg'))}")
    try:
        found = open_dataset(str(root), generated=tmp_path)
    except DataError:
        return
    assert unaccounted(found) == 0
    assert len({sample.image for sample in found.samples}) == len(found.samples)
    masks = [sample.mask for sample in found.samples if sample.mask]
    assert len(set(masks)) == len(masks)
    assert not set(masks) & {sample.image for sample in found.samples}


def test_folders_that_stackclip_filled_are_told_and_hold_no_pictures(tmp_path: Path) -> None:
    root = build(tmp_path / "parts", "good/a.png crack/b.png maps/clip/good/a.png")
    with pytest.raises(DataError, match="maps or good"):
        open_dataset(str(root), generated=tmp_path)
    mark_output(root / "maps")
    found = open_dataset(str(root), generated=tmp_path)
    assert summary(found) == {"good/a.png good", "crack/b.png defective"}
    assert "1 folder that stackclip filled left out (maps)" in found.finding


def test_there_are_trees_enough() -> None:
    assert len(TREES) >= 25


def test_real_iad_is_split_and_labelled_by_its_lists(tmp_path: Path) -> None:
    root = build(
        tmp_path / "Real-IAD",
        "realiad_256/pcb/OK/S0001/a.jpg realiad_256/pcb/OK/S0002/b.jpg realiad_256/pcb/NG/HS/S0001/c.jpg"
        " =realiad_256/pcb/NG/HS/S0001/c.png realiad_256/pcb/NG/HS/S0001/d.jpg",
    )
    rows = [("OK", "OK/S0002/b.jpg", None), ("HS", "NG/HS/S0001/c.jpg", "NG/HS/S0001/c.png")]
    rows += [("HS", "NG/HS/S0001/d.jpg", None)]
    table = {
        "meta": {"prefix": "pcb/", "normal_class": "OK"},
        "train": [{"category": "pcb", "anomaly_class": "OK", "image_path": "OK/S0001/a.jpg", "mask_path": None}],
        "test": [{"anomaly_class": code, "image_path": image, "mask_path": where} for code, image, where in rows],
    }
    text(root / "realiad_jsons/realiad_jsons/pcb.json", json.dumps(table))
    found = open_dataset("real-iad", data_root=root, generated=tmp_path)
    prefix = "realiad_256/pcb/"
    assert summary(found) == {
        f"{prefix}OK/S0001/a.jpg good",
        f"{prefix}OK/S0002/b.jpg good",
        f"{prefix}NG/HS/S0001/c.jpg defective {prefix}NG/HS/S0001/c.png",
        f"{prefix}NG/HS/S0001/d.jpg good",
    }
    assert [sample.id for sample in found.select("train")] == [f"{prefix}OK/S0001/a.jpg"]
    assert "left out" not in found.finding
    table["test"][0]["image_path"] = "OK/S0009/z.jpg"  # type: ignore[index]  # a list of objects
    text(root / "realiad_jsons/realiad_jsons/pcb.json", json.dumps(table))
    with pytest.raises(DataError, match=r"names 1 of 5 files that are not below .*'OK/S0009/z\.jpg' for one"):
        open_dataset("real-iad", data_root=root, generated=tmp_path)
    text(root / "realiad_jsons/realiad_jsons/pcb.json", "[]")
    with pytest.raises(DataError, match="cannot be read as a list of Real-IAD"):
        open_dataset("real-iad", data_root=root, generated=tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "known"),
    [
        ("z.json", '{"shapes": [], "imagePath": "z.png"}', "LabelMe"),
        ("all.json", '{"images": [], "annotations": [], "categories": []}', "COCO"),
        ("z.xml", f"<annotation><filename>z.png</filename>{VOC_BOX}</annotation>", "Pascal VOC"),
        ("z.txt", "0 0.5 0.5 0.1 0.2\n1 .5 .5 .1 .2\n", "YOLO"),
        ("all.xml", "<annotations><image name='z.png' width='1' height='1'/></annotations>", "CVAT"),
    ],
)
def test_annotations_of_other_pictures_are_named(tmp_path: Path, name: str, content: str, known: str) -> None:
    root = build(tmp_path / "parts", "a.png")
    text(root / name, content)
    found = open_dataset(str(root), generated=tmp_path)
    assert any(
        f"annotations in the format of {known} are not read here ({name}, ...)" in line for line in found.warnings
    )
    assert "1 other file left out" in found.finding


def test_what_is_odd_about_masks_and_splits_is_said_under_the_finding(tmp_path: Path) -> None:
    root = build(tmp_path / "parts", "nut/train/good/a.png nut/test/good/b.png nut/test/bent/c.png nut/test/bent/d.png")
    mask(root / "nut/ground_truth/bent/c_mask.png", empty=True)
    Image.new("L", (12, 12), 255).save(root / "nut/ground_truth/bent/d_mask.png")
    mask(root / "nut/ground_truth/bent/z_mask.png")
    mask(root / "nut/ground_truth/good/b_mask.png")
    (root / "nut/train/good/b.png").write_bytes((root / "nut/test/good/b.png").read_bytes())
    (root / "nut/test/hole").mkdir()
    picture(root / "cap/test/bent/0.png")
    found = open_dataset(str(root), generated=tmp_path)
    assert "1 mask without a picture (nut/ground_truth/bent/z_mask.png)" in found.finding
    said = "\n".join(found.warnings)
    for words in (
        "empty masks of defective pictures: 1 of 2 looked at (c_mask.png)",
        "masks of 99 % of their picture or more, inverted perhaps: 1 of 2 looked at (d_mask.png)",
        "masks of good pictures that are not empty: 1 of 1 looked at (b_mask.png)",
        "test pictures that are in train too: 1 of 1 looked at (b.png)",
        "empty folders: nut/test/hole",
        "no good picture to test in cap",
    ):
        assert words in said
    assert all(line.startswith("parts: ") for line in found.warnings)


def test_a_binary_product_is_not_taken_for_masks(tmp_path: Path) -> None:
    for name in ("good/1.png", "open/1.png", "short/1.png"):
        mask(tmp_path / "pcb" / name)
    found = open_dataset(str(tmp_path / "pcb"), generated=tmp_path)
    assert summary(found) == {"good/1.png good", "open/1.png defective", "short/1.png defective"}
