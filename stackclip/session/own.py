"""What a session does with pictures of one's own: from the words of a call to the work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stackclip.benchmarks.entrant import entrants_of
from stackclip.benchmarks.plan import Plan, resolved
from stackclip.cache.fingerprint import fingerprint_digest
from stackclip.data import Dataset
from stackclip.data.naming import place_name
from stackclip.data.picked import PICKED
from stackclip.defaults import GOOD_METHODS, INSPECTION_METHODS, TRAINING
from stackclip.errors import FingerprintMismatch, UsageError, WeightsError
from stackclip.inspection.bundle import Bundle
from stackclip.inspection.written import check_folders
from stackclip.ops.progress import Listener
from stackclip.registry import stay_with
from stackclip.session.conditions import InspectionWords, Names, checked, names_of
from stackclip.session.fitting import Fitted, Fitting
from stackclip.session.inspecting import Examination
from stackclip.session.pictures import (
    Inspection,
    PictureScore,
    bad_set,
    check_normal,
    good_set,
    object_words,
    output_folder,
    own_set,
    showing_all,
)
from stackclip.session.recipe import changed_fields
from stackclip.session.site import Site
from stackclip.session.wanted import Wanted, wanted_of
from stackclip.session.watching import Watching
from stackclip.session.workbench import Workbench
from stackclip.types import MASK

__all__ = ["Asked", "fit", "inspect", "plan_of", "watch", "with_detector"]


@dataclass(frozen=True)
class Asked:
    """What pictures show, which methods are to look at them and learn from what, and further words of the call."""

    object: str
    methods: tuple[str, ...]
    good: Path | None
    train_on: Names
    words: Mapping[str, Any]
    progress: Listener


def inspect(site: Site, pictures: Path, output: Path | None, asked: Asked) -> Inspection:
    """Score the pictures in a folder. Raises as `Session.inspect` does."""
    stay_with(site.workspace.registry)
    given = checked(asked.words, InspectionWords)
    wanted = replace(wanted_of(given, asked.good), train_on=names_of(asked.train_on))
    if wanted.bundle is not None:
        own = own_set(site.workspace, pictures, wanted.bundle.object, None, wanted.bad_folder)
        plan, wanted, workbench = with_detector(site, own, asked, wanted)
    else:
        default = INSPECTION_METHODS if asked.good is None else GOOD_METHODS
        own = own_set(site.workspace, pictures, object_words(asked.object), asked.good, wanted.bad_folder)
        wanted = replace(wanted, bad=bad_set(site.workspace, wanted.bad_folder, own))
        plan, workbench = plan_of(site, asked, asked.methods or default, own, given), None
        wanted = wanted if plan.train_on else replace(wanted, train_on=())
    with output_folder(output, plan.resolved) as place:
        workbench = workbench or site.workbench()
        examination = Examination(workbench, workbench.store(), plan, asked.progress, pictures, wanted)
        return examination.run(place, kept=output is not None)


def watch(site: Site, pictures: Path, output: Path, asked: Asked, every: float) -> Iterator[tuple[PictureScore, ...]]:
    """Score pictures as they arrive. Raises as `Session.watch` does, before the first look."""
    stay_with(site.workspace.registry)
    wanted = wanted_of(checked(asked.words, InspectionWords), None)
    if wanted.bundle is None:
        raise UsageError("a watch wants a detector, as stackclip fit makes it: --detector FILE")
    if not (isinstance(every, float | int) and every >= 0):
        raise UsageError(f"every={every!r}; wanted the seconds between two looks")
    if not pictures.is_dir():
        raise UsageError(f"{pictures}: no folder to watch; make it, or name another one")
    empty = Dataset(place_name(pictures), pictures, PICKED, (), "")
    plan, wanted, workbench = with_detector(site, empty, asked, wanted)
    check_folders(plan.methods, output, watching=True)
    watching = Watching(workbench, workbench.store(), plan, asked.progress, pictures.absolute(), wanted, every)
    return watching.run(output.absolute())


def fit(site: Site, output: Path, asked: Asked) -> Fitted:
    """Save a method that good pictures made ready. Raises as `Session.fit` does."""
    stay_with(site.workspace.registry)
    given = checked(asked.words, InspectionWords)
    wanted = wanted_of(given, asked.good)
    if said := [name for name in ("bad", "maps", "html") if asked.words.get(name)]:
        raise UsageError(
            f"{' and '.join(said)}: words of an inspection, which say nothing to a detector: leave them out"
        )
    if output.is_dir():
        raise UsageError(f"{output}: a folder, and a detector is a file: name one, as plate.stackclip")
    policy = wanted.policy
    if asked.good is None or policy is None:
        raise UsageError("a detector has a threshold, which good pictures set: name a folder of them with --good")
    own = good_set(site.workspace, asked.good, object_words(asked.object))
    plan = plan_of(site, asked, asked.methods or GOOD_METHODS, own, given)
    if len(plan.methods) != 1:
        raise UsageError(f"{', '.join(plan.methods)}: a detector is one method; name one with --method")
    workbench = site.workbench()
    trained_on = names_of(asked.train_on) if plan.train_on else ()
    fitting = Fitting(workbench, workbench.store(), plan, asked.progress, policy, trained_on)
    return fitting.run(output)


def plan_of(site: Site, asked: Asked, methods: tuple[str, ...], own: Dataset, given: dict[str, Any]) -> Plan:
    """The plan of methods that train on other data sets. Raises UsageError where shots are wanted and not given."""
    if len(given.get("seeds", (0,))) > 1:
        raise UsageError(f"seeds={given['seeds']}: pictures of your own are looked at once: name one seed")
    known = resolved(methods)
    if asked.good is not None and not given.get("shots"):
        known = showing_all(known)
    plan = Plan(methods=tuple(known), train_on=(), test_on=(own,), resolved=known, **given)
    check_normal(plan, asked.good)
    if _may_train(site, plan):
        plan = replace(plan, train_on=tuple(site.opened(asked.train_on).values()))
    return plan


def _may_train(site: Site, plan: Plan) -> bool:
    """Whether a method reads anything of training pictures: else their data sets are not opened, nor generated."""
    entrants = entrants_of(replace(plan, fail_fast=False), site.workbench().tower.spec)
    return any(entrant.why_not or entrant.reads("train") - {MASK} for entrant in entrants)


def with_detector(
    site: Site, own: Dataset, asked: Asked, wanted: Wanted, changed: Mapping[str, Any] = MappingProxyType({})
) -> tuple[Plan, Wanted, Workbench]:
    """The plan of a detector that was fitted, and its tower, of whose recipe some fields may be `changed`.

    Raises UsageError for words that it brings itself, WeightsError and FingerprintMismatch for another tower.
    """
    bundle = wanted.bundle
    assert bundle is not None
    _check_words(site, asked, bundle, wanted.detector)
    wanted = replace(wanted, bad=bad_set(site.workspace, wanted.bad_folder, own), train_on=())
    recipe = {name: _as_tuple(each) for name, each in bundle.recipe.items()}
    if (file := bundle.record.get("weights_file")) and site.backbone.weights is None:
        raise WeightsError(f"{wanted.detector}: the weights of its tower are not in it: say --weights {file}")
    workbench = site.workbench({**recipe, **changed})
    _check_tower(workbench, bundle, wanted.detector)
    task = bundle.task
    words = {name: task[name] for name in ("epochs", "batch_size", "class_names")} | {"tiles": bundle.tiles}
    return (
        Plan(methods=(bundle.method,), train_on=(), test_on=(own,), seeds=(task["seed"],), **words),
        wanted,
        workbench,
    )


def _check_words(site: Site, asked: Asked, bundle: Bundle, detector: Path | None) -> None:
    """Raise UsageError for words that say something else than the detector, which they would not change."""
    said = [name for name in ("object", "methods", "good") if getattr(asked, name)]
    learned_from = tuple(bundle.record.get("trained_on", ()))
    heeded = names_of(asked.train_on) in ((), names_of(TRAINING), learned_from)
    said += [] if heeded else ["train_on"]
    plain = {each.name: each.default for each in fields(Plan)} | {"calibrate": "auto"}
    known = {**bundle.task, "seeds": (bundle.task["seed"],), "tiles": bundle.tiles}
    for name, value in checked(asked.words, InspectionWords).items():
        said += [name] if name in plain and value not in (plain[name], known.get(name)) else []
    tower = {name: value for name, value in changed_fields(site.backbone).items() if name in bundle.recipe}
    said += [name for name, value in tower.items() if value != _as_tuple(bundle.recipe[name])]
    if said:
        words = " and ".join(said)
        raise UsageError(f"{detector} brings its own {words}: leave that out, or fit another one")
    dtype = bundle.record.get("feature_dtype", "float16")
    if site.workspace.feature_dtype != dtype:
        raise UsageError(f"{detector}: its threshold is for features kept as {dtype}: say --feature-dtype {dtype}")


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_tower(workbench: Workbench, bundle: Bundle, detector: Path | None) -> None:
    """Raise FingerprintMismatch where the tower is not the one that the detector was fitted on."""
    here = workbench.tower.fingerprint
    if fingerprint_digest(here) == fingerprint_digest(bundle.fingerprint):
        return
    differing = ", ".join(name for name in bundle.fingerprint if here.get(name) != bundle.fingerprint[name])
    file = bundle.record.get("weights_file")
    hint = f"name them with --weights ({file} where it was fitted)" if file else "use the same weights and settings"
    raise FingerprintMismatch(f"{detector}: it was fitted on another tower ({differing}): {hint}")
