"""What the parts of a method are worth: the methods that lack one, have one alone or none, and their differences.

A part says itself how it is taken away (`stackclip.registry.Removable`): by a value of an option, of the method or of a
component that an option names, or by another component in its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from stackclip.errors import BrokenPlugin, StackclipError, UnknownComponent, UsageError
from stackclip.methods import Composition, component_of, resolve
from stackclip.registry import Component, Option, Removable, Spec, named_by, points_of

__all__ = ["ADDED", "ALL", "AWAY", "Ablation", "Contrast", "RemovablePart", "ablation_of", "removable_parts"]

AWAY, ADDED, ALL = "taken away", "added", "all parts"
_DEEPEST = 8  # components within components that are looked into


@dataclass(frozen=True, slots=True)
class RemovablePart:
    """A part of a method: what it is called, where its option stands (`()`: the method itself), what takes it away.

    `lacked` are the options that the component lacks which stands in its place, where it is a whole component.
    """

    name: str
    path: tuple[str, ...]
    off: str
    overruled_by: str = ""
    lacked: frozenset[str] = frozenset()

    @property
    def taken_away_by(self) -> str:
        """How it is taken away, as it would be typed: `head.temperature=0`."""
        return f"{'.'.join(self.path)}={self.off}" if self.path else f"{self.off} in its place"

    def holds(self, other: RemovablePart) -> bool:
        """Whether the other part is gone with this one."""
        deeper, at = other.path[: len(self.path)] == self.path, len(self.path)
        return deeper and len(other.path) > at and (bool(at) or other.path[0] in self.lacked)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two methods that differ in a part, or in all of them: the one that has it and the one that has it not.

    `taken_away_by` is how, as it would be typed, and `way` whether the part is taken away or added.
    """

    name: str
    taken_away_by: str
    way: str
    having: str
    lacking: str


@dataclass(frozen=True, slots=True)
class Ablation:
    """A method, its parts, and the methods whose differences say what they are worth.

    `bare` has none of the parts, `refused` are methods that cannot be made, with the reasons, and `remarks` say what
    is not among the contrasts.
    """

    full: str
    bare: str
    parts: tuple[RemovablePart, ...]
    contrasts: tuple[Contrast, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods that can be made, each once: the full one, those that lack a part, the bare one, and the rest."""
        of_contrasts = (spec for each in self.contrasts for spec in (each.having, each.lacking))
        every = dict.fromkeys((self.full, *of_contrasts, self.bare))
        return tuple(spec for spec in every if spec not in self.refused)


def removable_parts(component: Component, spec: Spec, *, absent: bool = False) -> tuple[RemovablePart, ...]:
    """The parts that a component has as it is typed, and that can be taken away; then those of what its options name.

    With `absent` those too that other values of its options give. Raises BrokenPlugin for a value that cannot be.
    """
    found = dict.fromkeys((*_itself(component, spec.name), *_within(component, spec, absent=absent)))
    names = [part.name for part in found]
    return tuple(
        part if names.count(part.name) == 1 else replace(part, name=f"{part.name} ({part.taken_away_by})")
        for part in found
    )


def ablation_of(method: str, *, given: Collection[str] = ()) -> Ablation:
    """The methods to compare for one method, as it is typed. `given` are the conditions that a bench is told.

    Raises UsageError for a grid and for a method without parts, and what making the method does.
    """
    if len(points_of(method)) > 1:
        raise UsageError(f"{method}: wanted one method; a grid is compared with: stackclip bench --methods")
    full = Spec.parse(method)
    resolve(str(full))
    known = removable_parts(component_of(full.name), full)
    held = [part for part in known if part.overruled_by and part.overruled_by in given]
    if not (parts := tuple(part for part in known if part not in held)):
        raise UsageError(_nothing_of(full.name, held))
    remarks = [f"{part.name}: {part.taken_away_by} counts for nothing beside --{part.overruled_by}" for part in held]
    bare = str(_lacking(full, _together(parts)))
    contrasts = [*_contrasts(full, parts), Contrast(ALL, bare, AWAY, str(full), bare)]
    kept = {(each.having, each.lacking): each for each in reversed(contrasts)}  # the first of those that are the same
    remarks += _said_once(contrasts, kept)
    distinct = tuple(each for each in contrasts if kept[each.having, each.lacking] is each)
    found = Ablation(str(full), bare, parts, distinct, remarks=tuple(remarks))
    return replace(found, refused=dict(_refused(found.methods)))


def _nothing_of(name: str, held: list[RemovablePart]) -> str:
    if held:
        by, what = held[0].taken_away_by, held[0].overruled_by
        return f"{by} counts for nothing beside --{what}, and {name} has no other part: leave out --{what}"
    return (
        f"{name} has no part that says how it is taken away; an option says so by Annotated[TYPE, Removable(NAME, "
        "off=VALUE)], a class as a whole by without = Removable(NAME, off=OTHER)"
    )


def _itself(component: Component, name: str) -> Iterator[RemovablePart]:
    """The method as a part of itself: another takes its place."""
    if component.shelf in ("methods", "prompts") and (whole := _without(component)) and whole.off != name:
        try:
            other = {option.label for option in component_of(whole.off).options}
        except UnknownComponent as error:
            raise BrokenPlugin(
                f"{component} says that {whole.off} is what it is without {whole.name}: {error}"
            ) from None
        lacked = frozenset(option.label for option in component.options if option.label not in other)
        yield RemovablePart(whole.name, (), whole.off, whole.overruled_by, lacked)


def _within(
    component: Component, spec: Spec, path: tuple[str, ...] = (), *, absent: bool = False
) -> Iterator[RemovablePart]:
    """The parts among the options of a component, and of those that they name."""
    typed = dict(spec.options)
    for option in component.options:
        text = typed.get(option.label, option.default_text)
        at = (*path, option.label)
        yield from (
            RemovablePart(each.name, at, each.off, each.overruled_by)
            for each in option.removables
            if absent or (not _is_off(component, option, text, each) and (option.label in typed or not each.if_typed))
        )
        inner = _named_alone(option, text)
        if inner is not None and len(at) < _DEEPEST:
            if (whole := _without(inner[0])) is not None and whole.off != inner[1].name:
                yield RemovablePart(whole.name, at, whole.off, whole.overruled_by)
            yield from _within(*inner, at, absent=absent)


def _without(component: Component) -> Removable | None:
    """What a component says of itself as a part; a method that is composed says it of its prompt strategy."""
    factory = component.factory
    said = getattr(factory.component.factory if isinstance(factory, Composition) else factory, "without", None)
    return said if isinstance(said, Removable) else None


def _is_off(component: Component, option: Option, text: str, part: Removable) -> bool:
    """Whether an option has the value that takes a part away. Raises BrokenPlugin for one that it cannot have."""
    try:
        return bool(option.value_of(text) == option.value_of(part.off))
    except (ValueError, StackclipError) as error:
        said = f"{option.label}={part.off} takes {part.name} away"
        raise BrokenPlugin(f"{component} says that {said}, and it cannot be {option.type_name} ({error})") from None


def _named_alone(option: Option, text: str) -> tuple[Component, Spec] | None:
    """The component that an option names, where it is one and no word that stands for several."""
    if option.source is None or text in option.source.words:
        return None
    found = list(named_by(option, text))
    return found[0] if len(found) == 1 else None


def _contrasts(full: Spec, parts: tuple[RemovablePart, ...]) -> Iterator[Contrast]:
    """Each part taken away, and added beside no other but those that hold it; one that holds others comes with them."""
    for part in parts:
        yield Contrast(part.name, part.taken_away_by, AWAY, str(full), str(_lacking(full, (part,))))
        off = [each for each in _together(parts, last=part) if not each.holds(part)]
        gone = [each for each in off if each is not part and not part.holds(each)]
        having, lacking = (str(_lacking(full, each)) for each in (gone, off))
        yield Contrast(part.name, part.taken_away_by, ADDED, having, lacking)


def _together(parts: tuple[RemovablePart, ...], last: RemovablePart | None = None) -> list[RemovablePart]:
    """The parts that can lack together: of those that one option takes away the first, or the `last` named one."""
    of_option = {part.path: part for part in reversed(parts)}
    if last is not None:
        of_option[last.path] = last
    return [part for part in parts if of_option[part.path] is part]


def _lacking(full: Spec, gone: Collection[RemovablePart]) -> Spec:
    """A method without some of its parts; those that are within others that are gone, are gone with them."""
    component, spec, place = component_of(full.name), full, ""
    for part in gone:
        if any(each.holds(part) for each in gone):
            continue
        if part.path:
            spec = _with(component, spec, part.path, part.off)
        else:
            place = part.off
    return _in_place(component, spec, place) if place else Spec.parse(str(spec))


def _with(component: Component, spec: Spec, path: tuple[str, ...], value: str) -> Spec:
    """A spec with another value at an option, perhaps of a component that another option names."""
    first, *rest = path
    options = dict(spec.options)
    if rest:
        option = next(each for each in component.options if each.label == first)
        [(inner, named)] = named_by(option, options.get(first, option.default_text))
        value = str(_with(inner, named, tuple(rest), value))
    return Spec(spec.name, tuple((options | {first: value}).items()))


def _in_place(component: Component, spec: Spec, name: str) -> Spec:
    """Another component with all that both can be told, as it is in the first."""
    values = {option.label: option.default_text for option in component.options} | dict(spec.options)
    other = {option.label: option for option in component_of(name).options}
    same = {label: values[label] for label in values if label in other}
    told = {label: text for label, text in same.items() if text != other[label].default_text}
    return Spec.parse(str(Spec(name, tuple(told.items()))))


def _said_once(contrasts: list[Contrast], kept: Mapping[tuple[str, str], Contrast]) -> Iterator[str]:
    """Of contrasts that are others' too: which."""
    for each in contrasts:
        if (first := kept[each.having, each.lacking]) is not each:
            yield f"{each.name} {each.way} is the same as {first.name} {first.way}"


def _refused(methods: Collection[str]) -> Iterator[tuple[str, str]]:
    """The methods that cannot be made, with the reasons."""
    for spec in methods:
        try:
            resolve(spec)
        except StackclipError as error:
            yield spec, str(error)
