"""What a category is called in a prompt: its folder's name, that in words, a natural name, or one of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stackclip.errors import DataError, UsageError
from stackclip.ops.files import expanded
from stackclip.ops.objects import read_object
from stackclip.registry import did_you_mean

__all__ = ["NATURAL_NAMES", "STYLES", "CategoryNames", "category_name"]

STYLES = ("raw", "spaced", "natural")

# Only where the natural name is not the folder's name with spaces. Keys in lower case.
NATURAL_NAMES: Mapping[str, str] = {
    # VisA
    "chewinggum": "chewing gum",
    "macaroni1": "macaroni",
    "macaroni2": "macaroni",
    **{f"pcb{number}": "printed circuit board" for number in ("", 1, 2, 3, 4)},
    # MPDD
    "bracket_black": "black bracket",
    "bracket_brown": "brown bracket",
    "bracket_white": "white bracket",
    # BTAD does not say what its products are
    **{f"{number:02}": "industrial product" for number in (1, 2, 3)},
    # KolektorSDD, as its reader calls it, and as other projects do
    "electrical-commutators": "electrical commutator",
    "electrical commutators": "electrical commutator",
    "ksdd": "electrical commutator",
    "sdd": "electrical commutator",
    # Valeo does not say what its product is
    "vad": "industrial product",
    # DAGM
    **{f"class{number}": "textured surface" for number in range(1, 11)},
    # Medical sets, by the folders that other projects prepare; ours are called so already
    **dict.fromkeys(("headct", "head_ct", "brainmri", "brain_mri"), "brain"),
    **dict.fromkeys(("isic", "isic2016"), "skin"),
    **dict.fromkeys(("clinicdb", "cvc-clinicdb"), "colon"),
    # DTD-Synthetic: the number is the texture's place in DTD
    **{
        f"{texture}_{place:03}": f"{texture} texture"
        for texture, places in {
            "blotchy": (99,),
            "fibrous": (183,),
            "marbled": (78,),
            "matted": (69,),
            "mesh": (114,),
            "perforated": (37,),
            "stratified": (154,),
            "woven": (1, 68, 104, 125, 127),
        }.items()
        for place in places
    },
}


@dataclass(frozen=True, slots=True)
class CategoryNames:
    """Calls categories by name: `CategoryNames("natural")("pcb1")` is "printed circuit board".

    `style` is `raw` (the folder's name), `spaced` (underscores and hyphens become spaces), `natural` (the names of the
    published data sets' categories in plain English; spaced for others), or the path of a JSON file with one object
    {category: name}, which must name every category that is asked for.
    Raises UsageError for another style, DataError for a file that is not so.
    """

    style: str
    table: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        table: Mapping[str, str] = {}
        if self.style == "natural":
            table = NATURAL_NAMES
        elif self.style.lower().endswith(".json"):
            table = _read_names(expanded(self.style))
        elif self.style not in STYLES:
            near = did_you_mean(self.style, STYLES)
            raise UsageError(f"no class names {self.style!r}{near}; wanted {', '.join(STYLES)} or a file NAMES.json")
        object.__setattr__(self, "table", table)

    def __call__(self, category: str) -> str:
        """The name of a category; raises DataError for one that the file does not name."""
        if self.style == "raw":
            return category
        if self.style in STYLES:
            return self.table.get(category.lower()) or _spaced(category)
        if category not in self.table:
            near = did_you_mean(category, self.table)
            raise DataError(f"{self.style}: no name for category {category!r}{near}; add it to the file")
        return self.table[category]


def category_name(category: str, *, style: str = "raw") -> str:
    """What `category` is called in one of the styles of CategoryNames."""
    return CategoryNames(style)(category)


def _spaced(category: str) -> str:
    return " ".join(category.replace("_", " ").replace("-", " ").split()) or category


def _read_names(path: Path) -> dict[str, str]:
    table = read_object(path, wanted="{category: name}")
    for category, name in table.items():
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise DataError(f"{path}: {category!r} is called {name!r}; wanted a word or a few, in quotes, on one line")
    return {category: " ".join(name.split()) for category, name in table.items()}
