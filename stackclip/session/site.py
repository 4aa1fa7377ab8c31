"""Where work lies and which tower does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

from stackclip.clip.recipe import PLAIN_TRAINING, LiveTraining, TowerRecipe
from stackclip.data import Dataset
from stackclip.defaults import BACKBONE
from stackclip.errors import UsageError
from stackclip.registry import one_of
from stackclip.session.conditions import Names, names_of, whole
from stackclip.session.opening import open_datasets
from stackclip.session.recipe import LastTower
from stackclip.training.residency import Resident
from stackclip.workspace import Workspace

if TYPE_CHECKING:
    from stackclip.session.workbench import Workbench

__all__ = ["Site", "path_of"]


@dataclass(frozen=True, init=False)
class Site:
    """A workspace, the recipe of a tower, and how pictures are read: small, frozen, and picklable."""

    workspace: Workspace
    backbone: TowerRecipe
    data_root: Path | None
    batch_size: int
    workers: int
    resident: Resident
    live: LiveTraining
    _towers: LastTower = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        workspace: Workspace | PathLike[str] | str | None = None,
        backbone: TowerRecipe | str = BACKBONE,
        *,
        data_root: PathLike[str] | str | None = None,
        batch_size: int = 8,
        workers: int = 2,
        resident: Resident = "auto",
        live: LiveTraining = PLAIN_TRAINING,
    ) -> None:
        """`workspace` is a folder with `registry/` and `cache/`, whose components run; else what the command takes.

        `backbone` is a name, or a recipe with weights and picture size. Pictures are encoded `batch_size` at a time and
        read by `workers` threads; `resident` says where features stay that are read again (auto, gpu, ram or off).
        `live` says how what trains inside a tower runs there: in less memory, in other numbers.
        """
        one_of("resident", resident, get_args(Resident))
        batch_size, workers = whole("batch_size", batch_size, 1), whole("workers", workers, 1)
        found = workspace if isinstance(workspace, Workspace) else Workspace.find(path_of(workspace))
        if not isinstance(backbone, TowerRecipe | str):
            raise UsageError(f"backbone={backbone!r}; wanted a name or a TowerRecipe")
        if not isinstance(live, LiveTraining):
            raise UsageError(f"live={live!r}; wanted LiveTraining(recompute=, micro_batch=, precision=)")
        recipe = backbone if isinstance(backbone, TowerRecipe) else TowerRecipe(backbone)
        facts = (found, recipe, path_of(data_root), batch_size, workers, resident, live, LastTower())
        for place, value in zip(fields(self), facts, strict=True):
            object.__setattr__(self, place.name, value)

    def on(self, tower: Mapping[str, Any]) -> Self:
        """The same with other fields of the tower's recipe."""
        moved = copy(self)
        object.__setattr__(moved, "backbone", replace(self.backbone, **tower))
        return moved

    def workbench(self, other: Mapping[str, Any] | None = None) -> Workbench:
        """The tower at work in the workspace, with some `other` fields of its recipe."""
        from stackclip.session.workbench import Workbench

        recipe = replace(self.backbone, **(other or {}))
        known = self._towers.of(recipe, self.workspace.towers)
        how = (self.batch_size, self.workers, self.resident, self.live)
        return Workbench(self.workspace, recipe, known, *how)

    def opened(self, texts: Names, categories: Sequence[str] = ()) -> dict[str, Dataset]:
        """The data sets of names, by these. Raises DataError and UsageError."""
        generated, data_root = self.workspace.generated, self.data_root
        return open_datasets(names_of(texts), generated=generated, data_root=data_root, categories=categories)


def path_of(place: PathLike[str] | str | None) -> Path | None:
    if not isinstance(place, str | PathLike | None):
        raise UsageError(f"{place!r} is no place; wanted a path")
    return None if place is None else Path(place)
