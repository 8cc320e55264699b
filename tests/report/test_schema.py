from __future__ import annotations

import json

import jsonschema
import pytest

from groundglass.analysis import SCHEMA_VERSION, Analysis
from groundglass.report.schema import current_schema, published_schema, schema_text
from tests.report.conftest import make_analysis, make_pictures


def test_published_schema_is_current() -> None:
    assert published_schema() == current_schema(), "run: python -m groundglass.report.schema"
    assert json.loads(schema_text()) == current_schema()
    assert SCHEMA_VERSION in published_schema()["title"]


def test_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(published_schema())
    assert published_schema()["$schema"].endswith("2020-12/schema")
    assert not jsonschema.Draft202012Validator(published_schema()).is_valid({})


@pytest.mark.parametrize("analysis", [make_analysis(), make_pictures(3)[3]], ids=["scan", "pictures"])
def test_records_validate_and_read_back(analysis: Analysis) -> None:
    record = json.loads(analysis.to_json())
    jsonschema.validate(record, published_schema())
    assert Analysis.from_json(analysis.to_json()) == analysis


@pytest.mark.parametrize("key", ["measurements", "run", "case", "schema_version", "findings"])
def test_a_record_without_a_key_is_refused(key: str) -> None:
    record = json.loads(make_analysis().to_json())
    del record[key]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, published_schema())


def test_an_unknown_key_is_refused() -> None:
    record = json.loads(make_analysis().to_json())
    record["measurements"]["lungs"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, published_schema())
