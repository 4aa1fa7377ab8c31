"""What an option may say of itself beside its type: that it acts at test alone, that it is a part of its method."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AtTest", "Removable"]


class AtTest:
    """Says that nothing which is learned depends on an option: `sigma: Annotated[float, AtTest] = 4.0`.

    Points of a grid that differ in such options alone are trained once. `stackclip check` tries whether it is true.
    """


@dataclass(frozen=True, slots=True)
class Removable:
    """Says that an option is a part of its component, called so by its paper, and which value takes it away.

    `head: Annotated[str, From(heads), Removable("ensemble feature alignment", off="linear")]`. An option may have
    several. A class that is a part as a whole says so with an attribute `without`, whose `off` is the name of the
    component that it is without it. With `if_typed` the part is there only where its option is typed; `overruled_by` is
    the condition of a bench in place of which `off` would count for nothing.
    """

    name: str
    off: str
    if_typed: bool = False
    overruled_by: str = ""
