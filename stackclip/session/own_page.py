"""What methods said of pictures of one's own, as one HTML file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from stackclip.benchmarks.sidecars import CellPictures
from stackclip.inspection.written import Written
from stackclip.ops.files import write_atomically
from stackclip.ops.words import counted
from stackclip.reports.exhibits import Exhibit, most_of_each
from stackclip.reports.gallery import Gallery
from stackclip.reports.pages import Page, Provenance, Said, render

__all__ = ["own_page", "write_page"]

_UNSAID = ("command", "made", "detector")  # on the page by itself, another in every run, or long


def write_page(written: Sequence[Written], path: Path) -> tuple[str, ...]:
    """Write the page of what was found; why it could not be written, if it could not."""
    try:
        write_atomically(path, own_page(written).encode())
    except OSError as error:
        return (f"{path}: not written ({error.strerror or error})",)
    return ()


def own_page(written: Sequence[Written]) -> str:
    """A page with the pictures that methods scored, the most anomalous first."""
    scored = [each for each in written if each.samples]
    most = most_of_each([len(each.samples) for each in scored])
    exhibits = [exhibit.light(most) for each in scored if (exhibit := _exhibit(each))]
    gallery = Gallery(exhibits) if exhibits else None
    pictures = {sample.id for each in scored for sample in each.samples}
    commands = dict.fromkeys(str(each.record["command"]) for each in scored if "command" in each.record)
    shown = next((each.record.get("object", "") for each in scored), "")
    page = Page(
        title=f"Inspected: {shown}" if shown else "Inspected",
        subtitle=f"{counted(len(pictures), 'picture')}, {counted(len(written), 'method')}",
        briefs=[
            *(Said(each.method, tuple(_sentences(each))) for each in written),
            *(Said("All of them", (), command) for command in commands),
        ],
        gallery=gallery,
        tables=[shown],
        gallery_notes=list(gallery.notes) if gallery else (),
        records=[Provenance(each.method, list(_facts(each))) for each in written],
    )
    return render(page)


def _exhibit(written: Written) -> Exhibit | None:
    """The pictures that a method scored; None where it says nothing of them."""
    looked, samples = written.looked, written.samples
    if looked is None or (written.scores is None and written.peaks is None):
        return None
    maps = looked.maps if written.peaks is not None else None
    pictures = CellPictures(
        ids=tuple(sample.id for sample in samples),
        images=tuple(str(sample.image) for sample in samples),
        labels=np.zeros(len(samples), np.uint8),
        defects=("",) * len(samples),
        masks=looked.all_masks(),
        localised=np.zeros(len(samples), bool),
        scores=None if written.scores is None else written.scores.double().numpy(),
        levels=None if maps is None else maps.all_levels(),
        low=None if maps is None else np.asarray(maps.low),
        high=None if maps is None else np.asarray(maps.high),
    )
    scale = None if written.scale is None else (written.scale.cold, written.scale.hot)
    category = str(written.record.get("object", ""))
    fixed = _threshold(written, pictures)
    return Exhibit(written.method, category, pictures, Path(), labelled=False, fixed=fixed, ends=scale)


def _threshold(written: Written, pictures: CellPictures) -> float | None:
    """The score from which on pictures were called anomalous; None where no score parts them from the others."""
    judged, said = written.judgement, pictures.said
    if judged is None or said is None:
        return None
    if judged.threshold is not None:
        return float(np.nextafter(judged.threshold, np.inf))
    called, others = said[judged.anomalous], said[~judged.anomalous]
    if not called.size:
        return None if not others.size else float(np.nextafter(others.max(), np.inf))
    return float(called.min()) if not others.size or called.min() > others.max() else None


def _sentences(written: Written) -> Iterator[str]:
    """What was found by a method, and how sure that is."""
    judged = written.judgement
    verdict = str(judged) if judged else written.why_no_verdict
    yield from (each for each in (verdict, written.bad, written.error) if each)
    if judged is not None and judged.drift is not None:
        yield str(judged.drift)
    if written.scores is not None or written.peaks is not None:
        said = written.peaks if written.scores is None else written.scores
        top = written.ranked[0]
        assert said is not None
        yield f"Most anomalous is {written.samples[top].id}, with {float(said[top]):.6g}."


def _facts(written: Written) -> Iterator[tuple[str, str]]:
    """How the scores were made."""
    for name, value in written.record.items():
        if name not in _UNSAID and value not in ("", None):
            yield name.replace("_", " "), value if isinstance(value, str) else json.dumps(value, sort_keys=True)
