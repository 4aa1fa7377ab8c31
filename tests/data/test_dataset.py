"""Data sets are opened by name, by folder and by path, and say what was found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackclip.data import Dataset, open_dataset
from stackclip.errors import BadOption, DataError, UnknownLayout, UsageError
from stackclip.registry import datasets, forget
from stackclip.types import NORMAL, Sample

Plant = Callable[..., Path]
MVTEC = ("nut/train/good/0.png", "nut/test/good/0.png", "nut/test/bent/0.png", "cap/test/good/0.png")


@pytest.fixture
def painted(plant: Plant) -> Iterator[None]:
    """A registered data set that writes its own pictures, and one that only reads."""

    @datasets.register("painted")
    class Painted:
        tree = "ROOT/*.png"

        def __init__(self, *, size: int = 4) -> None:
            self.size = size

        def generate(self, folder: Path) -> Path:
            return plant(folder, *(f"{number}.png" for number in range(self.size)))

        def read(self, root: Path, name: str) -> tuple[Sample, ...]:
            files = sorted(root.iterdir())
            return tuple(Sample(file.name, name, "dot", "test", file, None, NORMAL, "good") for file in files)

    @datasets.register("bare")
    class Bare:
        tree = "ROOT/*.png"

        def read(self, root: Path, name: str) -> tuple[Sample, ...]:
            return Painted().read(root, name)

    yield
    forget([datasets])


@pytest.fixture
def opened(plant: Plant, tmp_path: Path) -> Dataset:
    return open_dataset(str(plant(tmp_path / "My Parts", *MVTEC)), generated=tmp_path)


def test_a_path_is_named_by_its_folder_and_its_layout_is_found(opened: Dataset, tmp_path: Path) -> None:
    assert (opened.name, opened.root, opened.layout) == ("my-parts", tmp_path / "My Parts", "mvtec")
    assert opened.finding == (
        "my-parts: MVTec-AD layout, 2 categories (cap, nut), train 1 good, test 2 good + 1 defective, no masks"
    )
    assert {sample.key for sample in opened} >= {"my-parts/nut/test/bent/0.png"}
    assert len(opened) == 4


def test_categories_stand_in_the_data_sets_order(opened: Dataset) -> None:
    assert opened.categories == ("cap", "nut")
    assert opened.select("train").categories == ("nut",)
    assert opened.select(categories=("nut", "cap")).samples == opened.samples
    assert [sample.id for sample in opened.select("test", ["nut"])] == ["nut/test/bent/0.png", "nut/test/good/0.png"]
    assert opened.select("test", ["nut"]).name == "my-parts"
    assert opened.select(categories=[]).samples == ()


def test_an_unknown_category_is_refused(opened: Dataset) -> None:
    with pytest.raises(UsageError, match=r"my-parts has no category 'nuts' \(did you mean 'nut'\?\); it has cap, nut"):
        opened.select(categories=["nuts"])


@pytest.mark.parametrize("below", ["", "mvtec", "MVTec-AD", "mvtec_anomaly_detection"])
def test_a_registered_data_set_is_found_in_the_data_root_or_below_it(plant: Plant, tmp_path: Path, below: str) -> None:
    plant(tmp_path / below, *MVTEC)
    found = open_dataset("mvtec", data_root=tmp_path, generated=tmp_path)
    assert (found.name, found.root, found.layout) == ("mvtec", tmp_path / below, "mvtec")


def test_options_reach_the_reader_and_are_recorded(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "b.png")
    found = open_dataset("folder[category=metal plate]", data_root=tmp_path, generated=tmp_path)
    assert (found.categories, found.layout) == (("metal plate",), "folder[category=metal plate]")
    assert found.name == tmp_path.name.lower()
    assert found.finding == f"{found.name}: own pictures, 1 category (metal plate), test 1 unlabelled"
    with pytest.raises(BadOption, match="folder has no option 'categori'"):
        open_dataset("folder[categori=x]", data_root=tmp_path, generated=tmp_path)


def test_a_folder_below_the_data_root_comes_before_a_path(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plant(tmp_path / "here", "caps/a.png").parent / "here")
    plant(tmp_path / "root", "caps/b.png")
    assert open_dataset("caps", data_root=tmp_path / "root", generated=tmp_path).samples[0].id == "b.png"
    assert open_dataset("caps", generated=tmp_path).samples[0].id == "a.png"
    assert open_dataset("./caps", data_root=tmp_path, generated=tmp_path).root == tmp_path / "here/caps"
    monkeypatch.chdir(tmp_path / "here/caps")
    assert open_dataset(".", generated=tmp_path).name == "caps"


def test_a_path_with_brackets_is_a_path(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "set [1], b", "a.png")
    assert open_dataset(str(tmp_path / "set [1], b"), generated=tmp_path).name == "set-[1],-b"


def test_what_is_not_there_says_where_it_was_looked_for_and_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_dataset("mvtec", data_root=tmp_path, generated=tmp_path)
    message = str(caught.value)
    assert message.startswith(f"mvtec: not found at {tmp_path} and {tmp_path / 'mvtec'}; nothing is downloaded")
    assert "CC BY-NC-SA 4.0, MVTec" in message
    assert "\n" not in message
    with pytest.raises(DataError, match="absent: no such folder"):
        open_dataset("mvtec", data_root=tmp_path / "absent", generated=tmp_path)
    with pytest.raises(
        DataError, match=r"no data set 'mvtek' \(did you mean 'mvtec'\?\): no folder .*registered: .*visa"
    ):
        open_dataset("mvtek", data_root=tmp_path, generated=tmp_path)


def test_a_name_whose_folder_is_laid_out_otherwise_is_refused(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "visa", *MVTEC)
    with pytest.raises(DataError, match="this is the layout of mvtec, not of visa: open it by its path"):
        open_dataset("visa", data_root=tmp_path, generated=tmp_path)
    plant(tmp_path / "mvtec", "notes.txt")
    with pytest.raises(UnknownLayout, match=r"mvtec: 1 file \(notes.txt\), no picture in all; wanted mvtec, as below"):
        open_dataset("mvtec", data_root=tmp_path, generated=tmp_path)


def test_a_name_whose_folder_holds_another_data_set_of_the_same_layout_is_refused(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "btad", *MVTEC)
    with pytest.raises(
        DataError, match=r"btad: holds cap, nut, no category of btad \(01, 02, 03\): open it by its path"
    ):
        open_dataset("btad", data_root=tmp_path, generated=tmp_path)
    with pytest.raises(DataError, match="mpdd: not found at"):  # and it is no mpdd either
        open_dataset("mpdd", data_root=tmp_path / "btad", generated=tmp_path)


def test_a_layout_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nut/train/good").mkdir(parents=True)
    with pytest.raises(UnknownLayout, match=r"1 folder \(nut\), no picture in all; wanted mvtec"):
        open_dataset(str(tmp_path), generated=tmp_path)


def test_gaps_and_missing_localisation_are_counted(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "own", "a/test/good/0.png", *(f"a/test/bent/{number}.png" for number in range(3)))
    plant(tmp_path / "own", "a/test/hole/0.png", "a/ground_truth/bent/1_mask.png")
    finding = open_dataset("own", data_root=tmp_path, generated=tmp_path).finding
    assert finding.endswith("test 1 good + 4 defective, 1 masks, 2 masks missing, 1 not localised")


@pytest.mark.usefixtures("painted")
def test_a_generated_data_set_is_written_below_the_folder_given(tmp_path: Path) -> None:
    found = open_dataset("painted[size=2]", data_root=tmp_path / "absent", generated=tmp_path / "made")
    assert (found.name, found.layout, len(found)) == ("painted", "painted[size=2]", 2)
    assert found.root == tmp_path / "made/painted-size-2"
    assert open_dataset("painted", generated=tmp_path / "made").root == tmp_path / "made/painted"


@pytest.mark.usefixtures("painted")
def test_a_reader_with_nothing_but_read_and_tree_is_enough(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "data/bare", "0.png")
    assert open_dataset("bare", data_root=tmp_path / "data", generated=tmp_path).root == tmp_path / "data/bare"
    plant(tmp_path / "flat", "0.png")
    found = open_dataset("bare", data_root=tmp_path / "flat", generated=tmp_path)
    assert (found.root, found.finding) == (tmp_path / "flat", "bare: bare layout, 1 category (dot), test 1 good")


def test_every_registered_data_set_says_what_it_is_and_shows_its_tree() -> None:
    for name in set(datasets.names()) - {"synthetic", "synthetic-logical"}:
        component = datasets.find(name)
        assert component.summary.endswith((".", ","))
        reader = datasets.create(name)
        assert reader.tree.startswith("ROOT/")
        assert reader.title
        if not getattr(reader, "named_by_folder", False):
            assert reader.source


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        (
            "mvtec-mini",
            "mvtec-mini: MVTec-AD layout, 2 categories (hazelnut, transistor), train 60 good,"
            " test 44 good + 16 defective, 16 masks, 4 other files left out: 4 .txt",
        ),
        (
            "deeppcb-mini",
            "deeppcb-mini: MVTec-AD layout, 1 category (pcb), train 11 good, test 11 good + 22 defective, 22 masks,"
            " 1 other file left out: 1 without an extension",
        ),
        (
            "ksdd-mini",
            "ksdd-mini: raw KolektorSDD layout (whole pictures, all tested), 1 category (electrical-commutators),"
            " test 56 good + 8 defective, 8 masks",
        ),
    ],
)
def test_the_real_subsets_are_found_as_described(shared: Path, tmp_path: Path, name: str, finding: str) -> None:
    assert open_dataset(name, data_root=shared / "data", generated=tmp_path).finding == finding


def test_opening_a_data_set_and_reading_its_pictures_needs_no_torch(plant: Plant, tmp_path: Path) -> None:
    root = str(plant(tmp_path / "own", *MVTEC))
    code = (
        "import sys, json, pathlib, stackclip.data as data\n"
        f"data.open_dataset({root!r}, generated=pathlib.Path('.'))\n"
        "print(json.dumps([name for name in ('torch', 'h5py', 'open_clip') if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def plant_part_of_mvtec(plant: Plant, root: Path) -> Path:
    kinds = {"bottle": ("broken_large", "contamination"), "metal_nut": ("bent", "flip")}
    folders = [f"{name}/test/{kind}" for name, some in kinds.items() for kind in ("good", *some)]
    return plant(root, *(f"{folder}/000.png" for folder in folders))


@pytest.mark.parametrize("folder", ["mvtec", "MVTec-AD", "my copy"])
def test_a_published_data_set_is_known_by_its_content_however_it_is_named(
    folder: str, plant: Plant, tmp_path: Path
) -> None:
    root = plant_part_of_mvtec(plant, tmp_path / folder)
    opened = open_dataset(str(root), generated=tmp_path)
    assert (opened.family, {sample.published for sample in opened}) == ("mvtec", {"mvtec"})
    (root / "bottle").rename(root / "jug")
    opened = open_dataset(str(root), generated=tmp_path)
    assert (opened.family, {sample.published for sample in opened}) == (opened.name, {""})
    assert opened.name != "mvtec"


@pytest.mark.parametrize("typed", ["./visa", "visa/", "{here}/visa", "../here/visa", "~/here/visa"])
def test_a_place_is_a_place_whatever_is_registered_under_its_name(
    typed: str, plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path / "here/visa", "tile/test/good/0.png", "tile/test/crack/0.png")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    opened = open_dataset(typed.format(here=tmp_path / "here"), generated=tmp_path)
    assert (opened.root, opened.name, opened.family) == (tmp_path / "here/visa", "own-visa", "own-visa")
    assert {sample.dataset for sample in opened} == {"own-visa"}
    with pytest.raises(DataError, match="this is the layout of mvtec, not of visa"):
        open_dataset("visa", generated=tmp_path)


def test_own_pictures_that_a_name_finds_in_the_data_root_are_not_the_published_ones(
    plant: Plant, tmp_path: Path
) -> None:
    plant(tmp_path, "bottle/test/good/0.png", "bottle/test/broken_large/0.png")
    opened = open_dataset("mvtec", data_root=tmp_path, generated=tmp_path)
    assert (opened.name, opened.family) == ("mvtec", "own-mvtec")
    assert "not mvtec as published: 1 of its 15 categories" in opened.remark


def test_the_raw_layout_of_visa_with_other_categories_is_not_visa(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "own", "jug/Data/Images/Normal/0.JPG")
    (tmp_path / "own/split_csv").mkdir()
    lines = "object,split,label,image,mask\njug,test,normal,jug/Data/Images/Normal/0.JPG,\n"
    (tmp_path / "own/split_csv/1cls.csv").write_text(lines)
    opened = open_dataset(str(tmp_path / "own"), generated=tmp_path)
    assert (opened.layout, opened.published, opened.family) == ("visa", "", "own")


def test_a_name_can_be_given_to_a_place_and_to_a_registered_data_set(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path / "A/parts", *MVTEC)
    monkeypatch.chdir(tmp_path)
    for text in ("left=A/parts", f"left={tmp_path}/A/parts", "left=./A/parts"):
        opened = open_dataset(text, generated=tmp_path)
        assert (opened.name, opened.root, opened.family) == ("left", tmp_path / "A/parts", "left")
        assert {sample.dataset for sample in opened} == {"left"}
        assert opened.finding.startswith("left: MVTec-AD layout")
    assert open_dataset("left=parts", data_root=tmp_path / "A", generated=tmp_path).root == tmp_path / "A/parts"
    drawn = open_dataset("left=synthetic[categories=1,per_category=2,train_good=0,size=32]", generated=tmp_path)
    assert (drawn.name, drawn.registered) == ("left", "synthetic")


@pytest.mark.parametrize("folder", ["a=b", "a=b [1]", "a[x=1]", "=", "a=b=c"])
def test_a_folder_with_an_equals_sign_in_its_name_can_be_typed(
    folder: str, plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path / folder, *MVTEC)
    monkeypatch.chdir(tmp_path)
    for text in (folder, f"./{folder}", str(tmp_path / folder)):
        assert open_dataset(text, generated=tmp_path).root == tmp_path / folder
    assert open_dataset(f"name={folder}", generated=tmp_path).name == "name"


@pytest.mark.parametrize("name", ["my set", "a+b", "a(b", "", "-x", "a\nb"])
def test_a_name_that_rows_could_not_carry_is_refused(name: str, plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "parts", *MVTEC)
    with pytest.raises(UsageError, match="wanted NAME=PATH with letters"):
        open_dataset(f"{name}={tmp_path}/parts", generated=tmp_path)


def test_the_name_of_a_registered_data_set_is_given_to_that_one_alone(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "parts", *MVTEC)
    for name in ("visa", "mvtec", "synthetic"):
        for place in ("parts", "parts/**/*.png"):
            with pytest.raises(UsageError, match=f"{name} is the name of another data set, and this is not it"):
                open_dataset(f"{name}={tmp_path}/{place}", generated=tmp_path)
    root = plant_part_of_mvtec(plant, tmp_path / "copy")
    assert open_dataset(f"mvtec={root}", generated=tmp_path).name == "mvtec"
