"""The prompt ensembles of several papers: their structure, words of our own (docs/decisions/0005)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from stackclip.prompts.ensemble import CPE, Ensemble

__all__ = [
    "AA_CLIP",
    "ADACLIP",
    "CLIP_AD",
    "CLIP_AD_MEDICAL",
    "ENSEMBLES",
    "PARTS_TEMPLATES",
    "PROMPTAD",
    "PROMPTAD_DEFECTS",
    "WINCLIP",
    "EnsembleName",
]

EnsembleName = Literal["cpe", "winclip", "clip-ad"]

_TEMPLATES = (
    "a photo of a {}.",
    "a photo of the {}.",
    "a photo of one {}.",
    "a close-up photo of a {}.",
    "a close-up photo of the {}.",
    "a cropped photo of a {}.",
    "a cropped photo of the {}.",
    "a bright photo of a {}.",
    "a bright photo of the {}.",
    "a dark photo of a {}.",
    "a dark photo of the {}.",
    "a blurry photo of a {}.",
    "a blurry photo of the {}.",
    "a sharp photo of a {}.",
    "a sharp photo of the {}.",
    "a low resolution photo of a {}.",
    "a low resolution photo of the {}.",
    "a jpeg picture of a {}.",
    "a jpeg picture of the {}.",
    "a photo of a {} for inspection.",
    "a photo of the {} for inspection.",
    "there is a {} in the picture.",
)

WINCLIP = Ensemble(normal=CPE.normal, anomalous=CPE.anomalous[:1] + CPE.anomalous[2:], templates=_TEMPLATES)
"""7 normal and 4 anomalous states in 22 templates: 154 and 88 phrases (WinCLIP)."""

ADACLIP = Ensemble(
    normal=CPE.normal,
    anomalous=CPE.anomalous,
    templates=("a photo of a {}.", "a photo of the {}.", "a close-up photo of the {}.", "a cropped photo of a {}."),
)
"""7 normal and 5 anomalous states in 4 templates: 28 and 20 phrases (AdaCLIP)."""

_FLAWS = ("flaw", "defect", "damage", "scratch", "crack", "contamination")


def _of_flaws(flaws: tuple[str, ...]) -> Ensemble:
    return Ensemble(
        normal=("flawless {}", "perfect {}", "unblemished {}", *(f"{{}} without {flaw}" for flaw in flaws)),
        anomalous=("damaged {}", "imperfect {}", "blemished {}", "broken {}", *(f"{{}} with {flaw}" for flaw in flaws)),
        templates=_TEMPLATES,
    )


CLIP_AD = _of_flaws(_FLAWS)
"""9 normal and 10 anomalous states, those of its figure 7, in 22 templates: 198 and 220 phrases (CLIP-AD)."""

CLIP_AD_MEDICAL: Mapping[str, Ensemble] = {
    dataset: _of_flaws(tuple(flaw for flaw in _FLAWS if flaw not in ("scratch", "crack")) + words)
    for dataset, words in {
        "headct": ("hemorrhage",),
        "brainmri": ("tumor",),
        "cvc-clinicdb": ("polypus", "polyp"),
    }.items()
}
"""The same for medical data sets, in their words and without scratches and cracks (CLIP-AD, its supplement, A)."""

AA_CLIP = Ensemble(
    normal=("{}", "flawless {}", "{} without any damage"),
    anomalous=("damaged {}", "{} with a flaw", "{} with a defect", "{} with some damage", "broken {}"),
    templates=("a photo of a {}.", "a close-up photo of the {}."),
)
"""3 normal and 5 anomalous states in 2 templates: 6 and 10 phrases (AA-CLIP)."""

PROMPTAD = Ensemble(
    normal=("{}",),
    anomalous=(
        "damaged {}",
        "broken {}",
        "defective {}",
        "faulty {}",
        "spoiled {}",
        "{} with a flaw",
        "{} with a defect",
        "{} with some damage",
    ),
    templates=("{}.",),
)
"""No normal state and 8 anomalous ones, behind learned words (PromptAD)."""

_BOARD = ("a scratch", "a bent part", "a missing part", "a burnt spot")
_PASTA = ("a stain", "a chip at its edge", "a scratch", "a crack")
_BAKED = ("a broken edge", "a scratch", "a burnt spot", "a stain")
PROMPTAD_DEFECTS: Mapping[str, tuple[str, ...]] = {
    # MVTec-AD
    "bottle": ("a broken rim", "a small chip", "dirt inside"),
    "cable": ("a bent wire", "a missing wire", "a cut in its insulation", "a hole in its insulation"),
    "capsule": ("a crack", "a wrong print", "a hole", "a scratch", "a dent"),
    "carpet": ("a hole", "a cut", "a stain", "a loose thread", "metal on it"),
    "grid": ("a broken wire", "a bent wire", "a thread on it", "metal on it", "glue on it"),
    "hazelnut": ("a crack", "a cut", "a hole", "print on it"),
    "leather": ("a stain", "a cut", "a fold", "glue on it", "a hole"),
    "metal_nut": ("a bent edge", "a stain", "the wrong side up", "a scratch"),
    "pill": ("a stain", "dirt on it", "a crack", "a wrong print", "a scratch"),
    "screw": ("a damaged tip", "a scratched neck", "a scratched head", "a damaged thread"),
    "tile": ("a crack", "a strip of glue", "a grey stroke", "an oil stain", "a rough spot"),
    "toothbrush": ("bent bristles", "missing bristles"),
    "transistor": ("a bent lead", "a cut lead", "a damaged case", "the wrong position"),
    "wood": ("a stain", "a hole", "a scratch", "a wet spot"),
    "zipper": ("broken teeth", "split teeth", "squeezed teeth", "torn fabric", "a frayed border"),
    # VisA
    "candle": ("melted wax", "missing wax", "too much wax", "a foreign body in its wax", "a bent wick", "a stain"),
    "capsules": ("a scratch", "a wrong colour", "a dent", "a leak", "a bubble"),
    "cashew": _BAKED,
    "chewinggum": ("a missing corner", "a scratch", "a missing piece", "a stain", "a crack"),
    "fryum": _BAKED,
    "macaroni1": _PASTA,
    "macaroni2": _PASTA,
    **{f"pcb{number}": _BOARD for number in (1, 2, 3, 4)},
    "pipe_fryum": _BAKED,
}
"""What can be wrong with each category of MVTec-AD and VisA, 2 to 6 ways; it stands behind "with" (PromptAD)."""

_VIEWS = (
    "a photo of {} {{}}.",
    "a good photo of {} {{}}.",
    "a bad photo of {} {{}}.",
    "a close-up photo of {} {{}}.",
    "a cropped photo of {} {{}}.",
    "a bright photo of {} {{}}.",
    "a dark photo of {} {{}}.",
    "a blurry photo of {} {{}}.",
    "a sharp photo of {} {{}}.",
    "a grainy photo of {} {{}}.",
    "a low resolution photo of {} {{}}.",
    "a pixelated photo of {} {{}}.",
    "a jpeg picture of {} {{}}.",
    "a black and white photo of {} {{}}.",
    "a colour photo of {} {{}}.",
    "a photo of {} clean {{}}.",
    "a photo of {} dirty {{}}.",
    "a photo of {} small {{}}.",
    "a photo of {} large {{}}.",
    "a photo of {} odd {{}}.",
    "a photo of {} nice {{}}.",
    "a photo of {} {{}} from above.",
    "a photo of {} {{}} from the side.",
    "a photo of {} {{}} for inspection.",
    "a photo of {} {{}} on a table.",
    "a photo of {} {{}} in a box.",
    "a photo of {} hidden {{}}.",
    "a photo showing {} {{}}.",
    "a picture of {} {{}}.",
    "an image of {} {{}}.",
    "a drawing of {} {{}}.",
    "a painting of {} {{}}.",
    "a sketch of {} {{}}.",
    "a rendering of {} {{}}.",
    "a model of {} {{}}.",
    "many photos of {} {{}}.",
    "a part of a picture with {} {{}}.",
    "there is {} {{}} in the picture.",
    "this is {} {{}} in the picture.",
    "{} {{}} on the production line.",
)

PARTS_TEMPLATES = tuple(view.format(article) for view in _VIEWS for article in ("a", "the"))
"""80 templates for the parts of a product, as many as CLIP has for ImageNet (NACLIP, CLIP-LAD)."""

ENSEMBLES: dict[EnsembleName, Ensemble] = {"cpe": CPE, "winclip": WINCLIP, "clip-ad": CLIP_AD}
