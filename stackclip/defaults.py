"""What is taken where nobody says otherwise: a tower, data sets and methods that need no download."""

__all__ = ["BACKBONE", "GOOD_METHODS", "INSPECTION_METHODS", "MOST_POINTS", "PROMPT_METHODS", "TESTED", "TRAINING"]

BACKBONE = "stackclip-tiny"
TRAINING, TESTED = "synthetic[part=training]", "synthetic[part=novel]"
PROMPT_METHODS = ("stacked", "fuzzy", "precise", "april-gan")
MOST_POINTS = 64  # of a grid in a name: more are trained and tested only where that is asked for
INSPECTION_METHODS, GOOD_METHODS = ("stackclip",), ("patchcore-clip",)  # without good pictures, and with some
