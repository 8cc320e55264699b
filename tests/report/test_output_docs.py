"""The documentation of the output names every key of the record and every file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from groundglass import analysis

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "output.md").read_text(encoding="utf-8")


def keys() -> Iterator[str]:
    for item in vars(analysis).values():
        if isinstance(item, type) and issubclass(item, BaseModel) and item.__module__.startswith("groundglass"):
            yield from item.model_fields


@pytest.mark.parametrize("key", sorted(set(keys())))
def test_key_is_documented(key: str) -> None:
    assert f"`{key}`" in PAGE


@pytest.mark.parametrize(
    "name",
    [
        "lungs.nii.gz",
        "infection.nii.gz",
        "infection_probability.nii.gz",
        "analysis.json",
        "report.html",
        "overlay.png",
        "lungs/<name>.png",
        "infection/<name>.png",
        "analysis.schema.json",
    ],
)
def test_file_is_documented(name: str) -> None:
    assert name in PAGE


def test_schema_version_is_documented() -> None:
    assert f"`{analysis.SCHEMA_VERSION}`" in PAGE
