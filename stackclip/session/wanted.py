"""What an inspection is asked for beside scores, in words that were checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from stackclip.errors import UsageError
from stackclip.inspection.bundle import Bundle, load_bundle
from stackclip.inspection.calibrating import Policy
from stackclip.inspection.good import Calibrate
from stackclip.inspection.written import MapFormat
from stackclip.registry import one_of
from stackclip.session.site import path_of
from stackclip.types import Sample

__all__ = ["Wanted", "wanted_of"]


@dataclass(frozen=True)
class Wanted:
    """What is wanted beside scores.

    In the folder `good`, if there is one, are the pictures by which verdicts are made, as `policy` says. `bad` are
    pictures of `bad_folder`, which are known to be bad, and `maps` says how maps are kept. A `bundle` is a detector
    that learned elsewhere, in the file `detector`; `train_on` are the names of training data sets as they were typed.
    All that is found is shown on a page in the file `html`, if there is one.
    """

    good: Path | None = None
    bad_folder: Path | None = None
    policy: Policy | None = None
    maps: MapFormat = ""
    bad: tuple[Sample, ...] = ()
    detector: Path | None = None
    bundle: Bundle | None = None
    train_on: tuple[str, ...] = ()
    html: Path | None = None


def wanted_of(given: dict[str, Any], good: Path | None) -> Wanted:
    """Take what an inspection alone may be told out of the words `given`. Raises UsageError for what makes no sense."""
    bad, detector = path_of(given.pop("bad", None)), path_of(given.pop("detector", None))
    html = path_of(given.pop("html", None))
    rate, calibrate, maps = given.pop("false_alarms", None), given.pop("calibrate", "auto"), given.pop("maps", "")
    one_of("calibrate", calibrate, get_args(Calibrate))
    one_of("maps", maps, get_args(MapFormat))
    if rate is not None and not (isinstance(rate, float | int) and 0 < rate < 1):
        raise UsageError(f"a false-alarm rate of {rate}; wanted a share between 0 and 1, as .05")
    if html is not None and html.is_dir():
        raise UsageError(f"{html}: a folder, and the page is a file: name one, as found.html")
    if detector is not None:
        bundle = load_bundle(detector)
        known = bundle.calibration
        bundle = replace(bundle, calibration=replace(known, rate=rate or known.rate))
        return Wanted(None, bad, None, maps, detector=detector, bundle=bundle, html=html)
    if good is None and (bad is not None or rate is not None):
        raise UsageError("a threshold is made by good pictures, and none were given: name a folder of them with --good")
    return Wanted(good, bad, None if good is None else Policy(rate, calibrate), maps, html=html)
