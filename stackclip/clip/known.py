"""What is known of towers without loading any: the facts that were found when one was loaded, for as long as they hold.

They are kept of towers of the package, and of models that open_clip brings whose weights lie in a file. A backbone from
outside may read whatever it likes, so it is loaded each time, as is a model that was added to open_clip's list.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from time import time_ns
from typing import Any

import PIL
import torch

from stackclip.clip.architecture import packaged_config
from stackclip.clip.device import choose_device, choose_precision, name_device
from stackclip.clip.hub import cached_weights
from stackclip.clip.loading import is_ambiguous, known_tag, listed_name, load_tower
from stackclip.clip.recipe import TowerRecipe
from stackclip.clip.tower import TOWER_SEMANTICS, BuiltTower, Tower, TowerFacts
from stackclip.clip.transform import ImageTransform
from stackclip.errors import DamagedFile, StackclipError, WeightsError
from stackclip.ops.files import canonical_json, content_hash, file_hash, write_atomically
from stackclip.ops.once import Once
from stackclip.ops.seals import read_regular, sealed, unsealed
from stackclip.ops.states import HAS_CHANGE_TIME, FileState, were_settled
from stackclip.ops.words import legible
from stackclip.registry import Spec, backbones
from stackclip.types import spec_of
from stackclip.version import VERSION

__all__ = ["KnownTower", "find_tower", "weights_files"]

logger = logging.getLogger(__name__)

_FORMAT = 1
_LARGEST = 1 << 20  # bytes; they have about 2e3
_DIGITS = 32  # of the digest that names a file
_HUB = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")  # where the hub's local cache is

States = dict[str, FileState]
"""The states of files and folders by their paths."""


class KnownTower:
    """A tower, and what is to be written down of it: nothing where that is there already, or must not be relied on."""

    def __init__(self, tower: Tower, file: Path | None = None, content: Mapping[str, Any] | None = None) -> None:
        self.tower = tower
        self._file, self._content = file, content

    def keep(self) -> None:
        """Write down what was found; where that cannot be, the next process loads the tower as this one did."""
        content, self._content = self._content, None
        if self._file is None or content is None:
            return
        try:
            write_atomically(self._file, sealed(content))
        except OSError as error:
            logger.debug("what is known of %s is not kept: %s", self.tower.spec.name, error)


def find_tower(recipe: TowerRecipe, folder: Path) -> KnownTower:
    """The tower of a recipe: built when it is first used where its facts lie below `folder`, else loaded now.

    Nothing is written before `keep`. Raises what `load_tower` raises. Where a tower turns out to be another one when it
    is built, WeightsError is raised from there, and its facts are forgotten.
    """
    asked = _asked(recipe)
    if asked is None:
        return KnownTower(load_tower(recipe))
    file = folder / f"{content_hash(canonical_json(asked))[:_DIGITS]}.json"
    if facts := _kept(file, asked):
        built = Once(partial(_built, recipe, facts, file))
        return KnownTower(Tower(facts, built, device=choose_device(recipe.device)))
    moment, states = time_ns(), _states_of_weights(recipe)
    tower = load_tower(recipe)
    if states is None or not _hold(states) or not were_settled(states.values(), moment):
        return KnownTower(tower)
    content = {"format": _FORMAT, "asked": asked, "files": states, "tower": asdict(tower.facts)}
    return KnownTower(tower, file, content)


def _asked(recipe: TowerRecipe) -> dict[str, Any] | None:
    """All that the facts of a tower depend on beside the files of its weights; None where that cannot be said."""
    with suppress(StackclipError, metadata.PackageNotFoundError):  # `load_tower` raises it, after what comes before
        spec, config = Spec.parse(recipe.backbone), None
        if spec.name not in backbones:
            config = packaged_config(listed_name(spec))
        elif not backbones.find(spec.name).is_own:
            return None
        if (config is None) != (spec.name in backbones):
            return None
        device = choose_device(recipe.device)
        return {
            "recipe": {**asdict(recipe), "weights": recipe.weights and str(recipe.weights.absolute())},
            "device": [str(device), name_device(device)],
            "precision": choose_precision(recipe.precision, device),
            "config": config,
            "hub": [os.environ.get(name) for name in _HUB] if recipe.pretrained else None,
            "semantics": TOWER_SEMANTICS,
            "stackclip": [VERSION, _code()],
            "libraries": [torch.__version__, metadata.version("open_clip_torch"), PIL.__version__],
        }
    return None


@cache
def _code() -> str:
    """The hash of all that lies in this package, the weights of its own tower too."""
    folder = Path(__file__).parent
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return content_hash("\n".join(f"{path.relative_to(folder)} {file_hash(path)}" for path in files).encode())


def weights_files(recipe: TowerRecipe) -> tuple[Path, ...] | None:
    """The files that say which weights a tower has, none of one of the package; None where that is not known."""
    states = _states_of_weights(recipe) if _asked(recipe) is not None else None
    return None if states is None else tuple(map(Path, states))


def _kept(file: Path, asked: Mapping[str, Any]) -> TowerFacts | None:
    """The facts that were kept for what is asked, if they are as they were written and the weights as they were."""
    try:
        content = unsealed(read_regular(file, largest=_LARGEST))
        wanted = canonical_json({"format": _FORMAT, "asked": asked})
        if canonical_json({name: content[name] for name in ("format", "asked")}) == wanted and _hold(content["files"]):
            return _facts_of(content["tower"])
    except DamagedFile as error:
        level = logging.DEBUG if isinstance(error.__cause__, OSError) else logging.WARNING
        logger.log(level, "%s; the tower is loaded to know it", legible(error))
    except (ValueError, KeyError, TypeError, AttributeError, StackclipError) as error:
        logger.warning("%s: %s; the tower is loaded to know it", legible(file), legible(error))
    return None


def _facts_of(said: Mapping[str, Any]) -> TowerFacts:
    spec, transform = spec_of(said["spec"]), said["transform"]
    transform = ImageTransform(**{**transform, "mean": tuple(transform["mean"]), "std": tuple(transform["std"])})
    return TowerFacts(**{**said, "spec": spec, "transform": transform})


def _built(recipe: TowerRecipe, facts: TowerFacts, file: Path) -> BuiltTower:
    """The tower behind facts that were kept. Raises what `load_tower` raises, and WeightsError for another one."""
    with torch.inference_mode(mode=False):  # a method that predicts may ask first, one that trains next
        tower = load_tower(recipe)
    found, kept = asdict(tower.facts), asdict(facts)
    changed = [name for name, fact in found.items() if canonical_json({"": fact}) != canonical_json({"": kept[name]})]
    if changed:
        with suppress(OSError):
            file.unlink(missing_ok=True)
        raise WeightsError(
            f"{facts.spec.name} is no longer the tower that this began with, found another {', '.join(changed)}: "
            "run the same command again"
        )
    return BuiltTower(tower.model, tower.text)


def _states_of_weights(recipe: TowerRecipe) -> States | None:
    """The states of all that says which weights a tower has: none for one of the package; None where it is not known.

    Published weights lie in a snapshot of the hub's cache, which a file there names. A file that may need either
    activation is loaded each time, as the warning is due each time.
    """
    spec = Spec.parse(recipe.backbone)
    if spec.name in backbones:
        return {}
    model = listed_name(spec)
    with suppress(StackclipError):  # `load_tower` raises it, after what comes before
        tag = known_tag(model, recipe.pretrained)
        if recipe.weights is None:
            file = cached_weights(model, tag) if tag else None
            return _states(file, file.parent, file.parents[2] / "refs" / "main") if file else None
        if tag or recipe.activation != "native" or not is_ambiguous(model, packaged_config(model) or {}):
            return _states(recipe.weights)
    return None


def _states(*paths: Path) -> States | None:
    """The states of files; None for what is not there, and where nobody could tell that a file is another."""
    with suppress(OSError, ValueError):
        return {str(path.absolute()): FileState.of(path.stat()) for path in paths} if HAS_CHANGE_TIME else None
    return None


def _hold(states: Mapping[str, Any]) -> bool:
    """Whether all files are as they were."""
    found = _states(*map(Path, states))
    return found is not None and found == {path: tuple(state) for path, state in states.items()}
