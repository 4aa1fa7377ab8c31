"""Pictures of products with painted defects, and of assemblies with parts missing or wrong, drawn from a seed."""

from stackclip.synthetic.defects import DEFECTS
from stackclip.synthetic.parts import PARTS, PartName, categories_of, kinds_of, shapes_of, spread
from stackclip.synthetic.patterns import COLOURS, PATTERNS
from stackclip.synthetic.scene import CONTRAST, MIN_AREA, Pair, Subtlety, draw, draw_pair
from stackclip.synthetic.shapes import SHAPES
from stackclip.synthetic.sheet import contact_sheet

__all__ = [
    "COLOURS",
    "CONTRAST",
    "DEFECTS",
    "MIN_AREA",
    "PARTS",
    "PATTERNS",
    "SHAPES",
    "Pair",
    "PartName",
    "Subtlety",
    "categories_of",
    "contact_sheet",
    "draw",
    "draw_pair",
    "kinds_of",
    "shapes_of",
    "spread",
]
