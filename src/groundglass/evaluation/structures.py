"""What is scored: lungs, infection, or any label of a label map."""

from __future__ import annotations

from dataclasses import dataclass

from groundglass.errors import OptionError


@dataclass(frozen=True, slots=True)
class Structure:
    """One structure of the chest.

    Attributes:
        name: as it stands in tables.
        source: structure whose files hold it: `lungs` or `infection`.
        channel: output channel of the network that shows it; None where no network does.
        tolerance_mm: distance up to which surfaces count as the same (NSD).
        labels: values of a label map that belong to it; None: every value but 0.
    """

    name: str
    source: str
    channel: str | None
    tolerance_mm: float
    labels: tuple[int, ...] | None = None


LUNGS = Structure("lungs", "lungs", "lung", 1.0)
INFECTION = Structure("infection", "infection", "infection", 3.0)
"""Tolerances of the COVID-19-CT-Seg benchmark (Ma et al. 2021): 1 mm for lungs, 3 mm for infection."""

KNOWN = {structure.name: structure for structure in (LUNGS, INFECTION)}


def structure_named(name: str) -> Structure:
    """The structure of that name.

    Raises:
        OptionError: there is none.
    """
    if name not in KNOWN:
        raise OptionError(f"no structure named '{name}'; expected one of: {', '.join(KNOWN)}")
    return KNOWN[name]


def labelled(text: str, of: Structure) -> Structure:
    """A part of a structure, written as `NAME=VALUE[,VALUE...]`, for example `right lung=1`.

    Args:
        text: name and label values.
        of: the structure whose files hold these labels, and whose tolerance applies.

    Raises:
        OptionError: not of that form.
    """
    name, _, values = text.partition("=")
    numbers = [value.strip() for value in values.split(",")]
    if not name.strip() or not all(number.isdigit() for number in numbers):
        raise OptionError(f"'{text}' is no label; expected NAME=VALUE, for example 'right lung=1'")
    return Structure(name.strip(), of.source, None, of.tolerance_mm, tuple(int(number) for number in numbers))
