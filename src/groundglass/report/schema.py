"""The published JSON schema of `analysis.json`.

The file inside the package is what other programs validate against; it is generated from the record itself:
`python -m groundglass.report.schema` writes it anew after a change of the record.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from groundglass.analysis import SCHEMA_VERSION, Analysis

FILE_NAME = "analysis.schema.json"


def current_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of the record as the code has it now; written keys are always present."""
    schema = Analysis.model_json_schema(mode="serialization")
    for record in (schema, *schema["$defs"].values()):
        if "properties" in record:
            record["required"] = list(record["properties"])
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Groundglass analysis.json, schema version {SCHEMA_VERSION}",
    }
    return {**head, **{key: value for key, value in schema.items() if key != "title"}}


def schema_text() -> str:
    """The schema as it stands in the file."""
    return json.dumps(current_schema(), indent=2, ensure_ascii=False) + "\n"


def published_schema() -> dict[str, Any]:
    """The schema that ships with the package."""
    text = (files("groundglass") / "schema" / FILE_NAME).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


if __name__ == "__main__":
    target = Path(__file__).resolve().parent.parent / "schema" / FILE_NAME
    target.write_text(schema_text(), encoding="utf-8")
