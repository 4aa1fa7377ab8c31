"""The shelves on which components stand by name: one decorator puts them there, one look-up finds them."""

from stackclip.registry.canonical import as_learned
from stackclip.registry.closure import code_of
from stackclip.registry.component import Component
from stackclip.registry.examples import EXAMPLES, Example, examples
from stackclip.registry.folder import placed
from stackclip.registry.grids import LARGEST, axes_of, flat_options, points_of, spread_out
from stackclip.registry.guard import (
    Stopped,
    ask_to_stop,
    at_work,
    forget_stop,
    guarded,
    is_a_stop,
    keep_streams,
    reason,
)
from stackclip.registry.marks import AtTest, Removable
from stackclip.registry.options import From, Option, bind, named_by, noun, options_of
from stackclip.registry.plugins import NotLoaded, problems, stay_with, use_workspace
from stackclip.registry.shelf import Shelf, forget
from stackclip.registry.spec import Spec, did_you_mean, one_of, split_specs
from stackclip.registry.ways import EDITION, Way, Ways

__all__ = [
    "EDITION",
    "EXAMPLES",
    "LARGEST",
    "SHELVES",
    "AtTest",
    "Component",
    "Example",
    "From",
    "NotLoaded",
    "Option",
    "Removable",
    "Shelf",
    "Spec",
    "Stopped",
    "Way",
    "as_learned",
    "ask_to_stop",
    "at_work",
    "axes_of",
    "backbones",
    "bind",
    "code_of",
    "datasets",
    "did_you_mean",
    "examples",
    "executors",
    "flat_options",
    "forget",
    "forget_stop",
    "guarded",
    "heads",
    "is_a_stop",
    "keep_streams",
    "learners",
    "methods",
    "named_by",
    "noun",
    "one_of",
    "options_of",
    "placed",
    "points_of",
    "problems",
    "prompts",
    "reason",
    "scorers",
    "selectors",
    "split_specs",
    "spread_out",
    "stay_with",
    "taps",
    "trackers",
    "use_workspace",
    "writers",
]

datasets = Shelf("datasets", "stackclip.layouts")
prompts = Shelf("prompts", "stackclip.prompts")
selectors = Shelf("selectors", "stackclip.selectors")
scorers = Shelf("scorers", "stackclip.scorers")
heads = Shelf("heads", "stackclip.heads")
learners = Shelf("learners", "stackclip.learners")
methods = Shelf("methods", "stackclip.methods")
backbones = Shelf("backbones", "stackclip.clip")
taps = Ways("taps", "stackclip.clip.taps")
executors = Shelf("executors", "stackclip.executors")
writers = Shelf("writers", "stackclip.reports.writers")
trackers = Shelf("trackers", "stackclip.trackers")

_TOOLS = (executors, writers, trackers)
SHELVES = (datasets, prompts, selectors, scorers, heads, learners, methods, backbones, taps, *_TOOLS)
