"""The PDF report: what it says, how long it is, and that it depends on nothing outside."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from groundglass.analysis import Classification
from groundglass.finding import Finding
from groundglass.inference.cam import Attention
from groundglass.report.attention import attention_sheet
from groundglass.report.figures import overlay_montage, png_bytes
from groundglass.report.pdf import PdfPictures, pdf_report
from tests.report.conftest import LICENCE, Case, make_analysis, make_case

pytestmark = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")


def text_of(pdf: bytes, folder: Path) -> str:
    path = folder / "report.pdf"
    path.write_bytes(pdf)
    run = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True)
    return run.stdout


def test_it_holds_the_numbers_the_licence_and_the_warning(case: Case, tmp_path: Path) -> None:
    overlay = png_bytes(overlay_montage(case.volume, case.lungs, case.infection))
    finding = Finding(code="thick-slices", severity="warning", text="Slices are #thick & *bold*.", action="Look.")
    analysis = make_analysis(findings=[finding], case="case_1 [x] $y$")
    pdf = pdf_report(analysis, case.lungs, case.infection, pictures=PdfPictures(overlay), licence=LICENCE)
    said = text_of(pdf, tmp_path)
    for words in ("12.5 %", "10 of 24", "512 ml", "4,103 ml", "−790 HU", "10.1 % to 14.9 %", LICENCE):
        assert words in said, words
    for words in ("Not a medical device", "Research use only", "Slices are #thick & *bold*.", "case_1 [x] $y$"):
        assert words in said, words
    assert 2 <= said.count("\f") <= 3
    assert len(pdf) < 5_000_000


def test_the_classification_stands_with_its_heat_maps(case: Case, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    seen = [
        Attention(
            f"Slice {n}",
            rng.integers(0, 256, (90, 120 - n), np.uint8),
            rng.random((90, 120 - n), np.float32),
            "COVID",
            np.full((90, 120 - n), 255, np.uint8),
        )
        for n in (3, 8)
    ]
    row = attention_sheet(seen)
    assert row is not None
    shown = cv2.imdecode(np.frombuffer(row, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert shown.shape[1] > 4 * 380, "two slices, each beside its heat map"
    answer = Classification(
        probabilities={"COVID": 0.4, "OtherPneumonia": 0.35, "Normal": 0.25},
        label=None,
        calibrated=True,
        abstained=True,
        reasons=["No class is likely enough."],
    )
    analysis = make_analysis(classification=answer)
    plain = pdf_report(analysis, case.lungs, case.infection, pictures=PdfPictures(), licence=LICENCE)
    pdf = pdf_report(analysis, case.lungs, case.infection, pictures=PdfPictures(attention_png=row), licence=LICENCE)
    said = " ".join(text_of(pdf, tmp_path).split())
    assert "The program abstains." in said
    assert "No class is likely enough." in said
    assert "most evidence for COVID-19 pneumonia" in said
    assert len(pdf) > len(plain) + 5_000
    assert attention_sheet([]) is None


def test_without_lungs_it_says_so_and_gives_no_numbers(tmp_path: Path) -> None:
    empty = make_case(lungs=False)
    finding = Finding(code="no-lungs", severity="error", text="No lungs were found.", action="Check the input.")
    pdf = pdf_report(
        make_analysis(findings=[finding]), empty.lungs, empty.infection, pictures=PdfPictures(), licence=LICENCE
    )
    said = text_of(pdf, tmp_path)
    assert "No lungs were found" in said
    assert "Severity score" not in said
