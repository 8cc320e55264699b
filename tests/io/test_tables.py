from __future__ import annotations

from pathlib import Path

import pytest

from groundglass.errors import InputError, UnreadableFileError
from groundglass.evaluation.layouts import read_data
from groundglass.io.tables import read_rows


def test_blanks_short_rows_and_byte_order_mark(tmp_path: Path) -> None:
    table = tmp_path / "slices.csv"
    table.write_bytes("\ufefffile, patient ,fold\n a.png ,Zo\u00eb,1\nb.png\nc.png,Jan,2,more\n".encode())
    assert read_rows(table) == [
        {"file": "a.png", "patient": "Zo\u00eb", "fold": "1"},
        {"file": "b.png", "patient": "", "fold": ""},
        {"file": "c.png", "patient": "Jan", "fold": "2"},
    ]


@pytest.mark.parametrize("name", ["cases.csv", "pairs.csv"])
def test_a_table_in_another_encoding(name: str, tmp_path: Path) -> None:
    table = tmp_path / name
    table.write_bytes("ct,image,patient,lungs\na.nii,a.nii,Zo\u00eb,b.nii\n".encode("latin-1"))
    with pytest.raises(UnreadableFileError, match=rf"{name} cannot be read as a table .* in UTF-8"):
        read_rows(table)
    with pytest.raises(InputError, match="in UTF-8"):
        read_data(table if name == "pairs.csv" else tmp_path)
