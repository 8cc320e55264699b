"""Presets: complete descriptions of a training run, as TOML.

A preset is named by a file of this folder without its ending, or by the path of one's own TOML file. A file with
``base = "NAME"`` says only what differs from that preset.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from groundglass.errors import PresetError
from groundglass.training.presets.model import Preset

PRESETS = Path(__file__).parent

__all__ = ["PRESETS", "Preset", "available_presets", "describe_problems", "load_preset", "read_toml"]


def available_presets(task: str = "segmentation") -> tuple[str, ...]:
    """Names of the shipped presets of a task, sorted."""
    tables = {path.stem: read_toml(path) for path in PRESETS.glob("*.toml")}
    return tuple(sorted(name for name, table in tables.items() if table.get("task", "segmentation") == task))


def load_preset(name_or_path: str | Path, changes: Sequence[str] = ()) -> Preset:
    """Reads a segmentation preset.

    Args:
        name_or_path: A name from `available_presets`, or the path of a TOML file.
        changes: What is to differ from it (see `changed`).

    Raises:
        PresetError: No such preset, broken TOML, unknown keys, or values out of range.
    """
    path = find_preset(name_or_path)
    table = changed(read_toml(path), changes)
    if (task := table.get("task", "segmentation")) != "segmentation":
        raise PresetError(f"the preset {path.stem} is for {task}; expected one for segmentation")
    try:
        return Preset.model_validate({"name": path.stem, **table})
    except ValidationError as error:
        raise PresetError(f"the preset {path} cannot be used: {describe_problems(error)}") from error


def find_preset(name_or_path: str | Path) -> Path:
    """The TOML file of a preset of any task.

    Raises:
        PresetError: There is none.
    """
    text = str(name_or_path)
    if text.endswith(".toml") or isinstance(name_or_path, Path):
        path = Path(name_or_path)
        if not path.is_file():
            raise PresetError(f"no preset file {path}; shipped presets: {', '.join(_names())}")
        return path
    if text not in _names():
        raise PresetError(
            f"no preset named '{text}'; expected one of {', '.join(_names())}, or the path of a .toml file"
        )
    return PRESETS / f"{text}.toml"


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file, completed from its ``base`` where it names one.

    Tables are merged key by key; everything else, lists included, replaces what the base says.

    Raises:
        PresetError: It cannot be read, is not TOML, or its base is none.
    """
    table = _own_table(path)
    base = table.pop("base", None)
    if base is None:
        return table
    if base not in _names() or base == path.stem:
        raise PresetError(f"{path} is based on {base!r}; expected one of {', '.join(_names())}")
    below = read_toml(PRESETS / f"{base}.toml")
    merged = {name: {**below[name], **value} for name, value in table.items() if _are_tables(value, below.get(name))}
    return {**below, **table, **merged}


def changed(table: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The table of a preset with other values.

    Args:
        table: As `read_toml` reads it.
        changes: ``key=value`` each; the value as in TOML, or a plain word; ``loss.name=focal`` for a key of a table.

    Raises:
        PresetError: No key or no value, or the key of something that is no table.
    """
    for change in changes:
        key, equals, text = change.partition("=")
        if not (key.strip() and equals and text.strip()):
            raise PresetError(f"'{change}' changes nothing of a preset; expected KEY=VALUE, such as smote=true")
        *outer, last = key.strip().split(".")
        table = copy.deepcopy(table)
        place = table
        for name in outer:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise PresetError(f"'{change}': {name} is no table of the preset; expected a key such as loss.name")
        place[last] = _value(text.strip())
    return table


def _value(text: str) -> Any:  # noqa: ANN401 - whatever TOML can say
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _are_tables(*values: object) -> bool:
    return all(isinstance(value, dict) for value in values)


def _own_table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PresetError(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise PresetError(f"{path} cannot be read: {error.strerror}") from error


def describe_problems(error: ValidationError) -> str:
    """The problems of a record, each as ``where: what (found ...)``, joined by semicolons."""
    told = []
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"]) or "preset"
        found = problem["input"]
        shown = f" (found {found!r})" if isinstance(found, str | int | float | bool) else ""
        told.append(f"{where}: {problem['msg'].removeprefix('Value error, ')}{shown}")
    return "; ".join(told)


def _names() -> list[str]:
    return sorted(path.stem for path in PRESETS.glob("*.toml"))
