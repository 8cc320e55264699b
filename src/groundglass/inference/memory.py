"""A yes or no that takes long to find out, remembered in a small file."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

_WORDS = {"agrees\n": True, "differs\n": False}


class Memory:
    """One answer; a folder that cannot be read or written, or a damaged file, means that nothing is remembered."""

    def __init__(self, folder: Path | None, key: str) -> None:
        """Prepare; nothing is read or written yet.

        Args:
            folder: where answers lie; None remembers nothing.
            key: stands for everything that the answer depends on.
        """
        self._path = None if folder is None else folder / f"precision-{key}.txt"

    def recall(self) -> bool | None:
        """The answer; None where it is not known."""
        try:
            return None if self._path is None else _WORDS.get(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def keep(self, answer: bool) -> None:
        """Remember the answer, as far as that can be done."""
        if self._path is None:
            return
        text = next(words for words, meaning in _WORDS.items() if meaning == answer)
        partial = self._path.with_name(f".{self._path.name}-{secrets.token_hex(4)}")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(text, encoding="ascii")
            os.replace(partial, self._path)
