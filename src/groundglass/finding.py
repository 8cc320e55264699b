"""What a check has to say about an input or a result."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal["info", "warning", "error"]


class Finding(BaseModel):
    """One remark in plain words.

    Attributes:
        code: stable short name for programs, e.g. `hu-shifted`.
        severity: `info` (good to know), `warning` (the numbers may suffer), `error` (do not use the numbers).
        text: what was seen, for a reader who has never seen the program.
        action: what to do about it; empty when there is nothing to do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    severity: Severity
    text: str = Field(min_length=1)
    action: str = ""
