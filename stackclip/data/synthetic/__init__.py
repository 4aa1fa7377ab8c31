"""Pictures of products with painted defects, drawn from a seed: the data set that needs no download."""

from stackclip.data.synthetic.dataset import VERSION, Synthetic
from stackclip.data.synthetic.defects import DEFECTS
from stackclip.data.synthetic.parts import PARTS, PartName, categories_of, kinds_of, spread
from stackclip.data.synthetic.patterns import COLOURS, PATTERNS
from stackclip.data.synthetic.scene import CONTRAST, MIN_AREA, Pair, draw, draw_pair
from stackclip.data.synthetic.shapes import SHAPES
from stackclip.data.synthetic.sheet import contact_sheet

__all__ = [
    "COLOURS",
    "CONTRAST",
    "DEFECTS",
    "MIN_AREA",
    "PARTS",
    "PATTERNS",
    "SHAPES",
    "VERSION",
    "Pair",
    "PartName",
    "Synthetic",
    "categories_of",
    "contact_sheet",
    "draw",
    "draw_pair",
    "kinds_of",
    "spread",
]
