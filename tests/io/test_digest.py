"""Checksums of files: the same bytes under any names and in any order."""

from __future__ import annotations

from pathlib import Path

from groundglass.io.digest import files_digest


def test_names_and_order_do_not_matter(tmp_path: Path) -> None:
    for folder, names in (("a", "12"), ("b", "yx")):
        (tmp_path / folder).mkdir()
        for name, text in zip(names, ("one", "two"), strict=True):
            (tmp_path / folder / name).write_text(text)
    (tmp_path / "b" / ".hidden").write_text("of the file system")
    first = files_digest([tmp_path / "a" / "1", tmp_path / "a" / "2"])
    assert first == files_digest([tmp_path / "b"]) == files_digest([tmp_path / "a" / "2", tmp_path / "a" / "1"])
    assert first != files_digest([tmp_path / "a" / "1"])


def test_nothing_to_read_has_no_checksum(tmp_path: Path) -> None:
    assert files_digest([]) is None
    assert files_digest([tmp_path / "absent"]) is None
