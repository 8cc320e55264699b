"""Limits and defaults of the process; the only place that reads the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from groundglass.errors import OptionError

Precision = Literal["auto", "int8", "bf16", "f32"]


@dataclass(frozen=True)
class Settings:
    """What a user may change without an option on the command line.

    Attributes:
        threads: CPU threads for inference; 0 lets the runtime choose (`GROUNDGLASS_THREADS`).
        precision: `auto`, `int8`, `bf16` or `f32` (`GROUNDGLASS_PRECISION`). `auto` takes the first of them that the
            network and the CPU have and that agrees with f32.
        max_voxels: largest volume accepted, in voxels (`GROUNDGLASS_MAX_VOXELS`).
        max_archive_bytes: largest unpacked size of an archive, in bytes (`GROUNDGLASS_MAX_ARCHIVE_BYTES`).
        max_files: most files read from one folder or archive (`GROUNDGLASS_MAX_FILES`).
        cache: folder for what need not be found out twice (`GROUNDGLASS_CACHE`); the user's cache folder when empty,
            nothing is kept when `off`.
    """

    threads: int = 0
    precision: Precision = "auto"
    max_voxels: int = 1_200_000_000
    max_archive_bytes: int = 8 * 1024**3
    max_files: int = 20_000
    cache: str = ""

    def __post_init__(self) -> None:
        """Reject values that mean nothing."""
        if self.threads < 0:
            raise OptionError(f"threads is {self.threads}; expected 0 (automatic) or more")
        if self.precision not in {"auto", "int8", "bf16", "f32"}:
            raise OptionError(f"precision is {self.precision!r}; expected auto, int8, bf16 or f32")
        for name in ("max_voxels", "max_archive_bytes", "max_files"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}; expected at least 1")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `GROUNDGLASS_*` variables.

        Args:
            environment: variables to read; the process's own when None.

        Raises:
            OptionError: a variable that is not a whole number where one is expected.
        """
        variables = os.environ if environment is None else environment
        return cls(
            threads=_whole_number(variables, "GROUNDGLASS_THREADS", cls.threads),
            precision=cast(Precision, variables.get("GROUNDGLASS_PRECISION", cls.precision)),
            max_voxels=_whole_number(variables, "GROUNDGLASS_MAX_VOXELS", cls.max_voxels),
            max_archive_bytes=_whole_number(variables, "GROUNDGLASS_MAX_ARCHIVE_BYTES", cls.max_archive_bytes),
            max_files=_whole_number(variables, "GROUNDGLASS_MAX_FILES", cls.max_files),
            cache=variables.get("GROUNDGLASS_CACHE", cls.cache),
        )

    def cache_folder(self) -> Path | None:
        """The folder for what need not be found out twice, which may not exist; None where nothing is to be kept."""
        if self.cache == "off":
            return None
        if self.cache:
            return Path(self.cache).expanduser()
        usual = {"darwin": "~/Library/Caches", "win32": os.environ.get("LOCALAPPDATA", "~/AppData/Local")}
        chosen = usual.get(sys.platform, os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        return Path(chosen).expanduser() / "groundglass"


def without_ray_telemetry() -> None:
    """Keep Ray, before it is imported, from reporting its use to its makers; this program reports nothing to anyone."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


def without_nncf_telemetry() -> None:
    """Keep NNCF, before it is imported, from reporting its use to its makers."""
    os.environ["NNCF_CI"] = "1"


def _whole_number(variables: Mapping[str, str], name: str, default: int) -> int:
    text = variables.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise OptionError(f"the environment variable {name} is {text!r}; expected a whole number") from None
