"""Pictures that are tested though they were trained on or shown, found by their content whatever they are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.plan import Plan
from stackclip.cache import Store
from stackclip.data import Dataset
from stackclip.errors import CategoryOverlap
from stackclip.ops.words import agreed, counted, legible
from stackclip.types import Row, Sample

__all__ = ["Twin", "check_content", "contents", "overlap_facts", "overlap_notes", "trained_on", "twins"]

_NAMED = 3
_VERBS = {"trained": "trained on", "shots": "shown as shots"}


@dataclass(frozen=True, slots=True)
class Twin:
    """A tested picture, and one of the same bytes that was trained on or shown."""

    tested: Sample
    other: Sample


def twins(tested: Iterable[Sample], others: Iterable[Sample], store: Store) -> tuple[Twin, ...]:
    """The tested pictures whose bytes are those of one of `others`; masks do not count.

    Those that nobody can read are left out: they are neither trained on nor tested.
    """
    known = {content: other for other, content in _named(others, store) if content}
    pairs = _named(tested if known else (), store)
    return tuple(Twin(sample, known[content]) for sample, content in pairs if content in known)


def check_content(plan: Plan, store: Store) -> str:
    """One line on pictures that are tested though they were trained on or shown, empty where there are none.

    Raises CategoryOverlap with that line, unless the plan allows overlap or all of them are twins that a published
    data set has itself (decision 0023).
    """
    tested = _tested(plan)
    of_shots = twins(tested, plan.all_shots(), store)
    of_training = twins(tested, plan.training, store)
    found = {"trained": of_training, "shots": of_shots}
    line = "; ".join(_in_words(role, pairs) for role, pairs in found.items() if pairs)
    whole = {dataset.name: dataset for dataset in (*plan.train_on, *plan.test_on)}
    if plan.allow_overlap or all(_as_published(twin, whole) for twin in (*of_training, *of_shots)):
        return line
    raise CategoryOverlap(f"{line}: take them out on one side, or say --allow-overlap")


def trained_on(plan: Plan, store: Store) -> str:
    """One line on the tested pictures that were trained on, empty where there are none."""
    pairs = twins(_tested(plan), plan.training, store)
    return _in_words("trained", pairs) if pairs else ""


def contents(samples: Iterable[Sample], store: Store) -> frozenset[str]:
    """The names of what is in the pictures that can be read."""
    return frozenset(content for _, content in _named(samples, store) if content)


def overlap_facts(
    store: Store, tested: Sequence[Sample], trained: frozenset[str], shots: Sequence[Sample]
) -> dict[str, int]:
    """How many of the pictures of a cell are of the contents `trained`, and how many were shown; nothing without any.

    The training pictures are the same for all cells of a seed, so that their contents are asked for once.
    """
    of_role = {"trained": trained, "shots": contents(shots, store)}
    own = [content for _, content in _named(tested, store) if content]
    counts = {role: sum(content in known for content in own) for role, known in of_role.items()}
    return counts if any(counts.values()) else {}


def overlap_notes(rows: Iterable[Row]) -> Iterator[str]:
    """What is said under a table of tested pictures that were trained on or shown."""
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        for role, count in facts_of(row).overlap.items():
            if count and role in _VERBS:
                place = (f"{row.test_on} {row.category}", role)
                found[place] = max(count, found.get(place, 0))
    for role, verb in _VERBS.items():
        where = [f"{place} {count}" for (place, of), count in found.items() if of == role]
        if where:
            yield f"tested pictures that were {verb}, byte for byte: {', '.join(where)}"


def _named(samples: Iterable[Sample], store: Store) -> Iterator[tuple[Sample, str | None]]:
    """Pictures, each with the name of its content, None for one that cannot be read."""
    every = tuple(samples)
    return zip(every, store.digests(every), strict=True)


def _tested(plan: Plan) -> tuple[Sample, ...]:
    return tuple(sample for dataset in plan.test_on for sample in dataset.select(split="test").samples)


def _as_published(twin: Twin, datasets: dict[str, Dataset]) -> bool:
    """Whether both pictures are of one published data set that has the published numbers of pictures."""
    dataset = datasets.get(twin.tested.dataset)  # of which a part has another name, and other numbers
    return dataset is not None and twin.other.dataset == dataset.name and bool(dataset.published) and not dataset.remark


def _in_words(role: str, pairs: Sequence[Twin]) -> str:
    """`2 tested pictures were trained on, byte for byte: A/nut/0.png (as B/hazelnut/0.png), ...`."""
    named = [f"{legible(twin.tested.image)} (as {legible(twin.other.image)})" for twin in pairs[:_NAMED]]
    more = [f"and {len(pairs) - _NAMED} more"] if len(pairs) > _NAMED else []
    count = f"{counted(len(pairs), 'tested picture')} {agreed('were', len(pairs))}"
    return f"{count} {_VERBS[role]}, byte for byte: {', '.join([*named, *more])}"
