"""What a notebook gets: summary, images of other libraries, a viewer."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from groundglass.errors import OptionError
from groundglass.finding import Finding
from groundglass.report.viewer import interactive_viewer
from groundglass.result import AnalysisResult
from tests.report.conftest import LICENCE, Case, make_analysis


@pytest.fixture(scope="module")
def result(case: Case) -> AnalysisResult:
    finding = Finding(code="thick-slices", severity="warning", text="<b>thick</b>", action="Look.")
    analysis = make_analysis(findings=[finding])
    return AnalysisResult(analysis, case.volume, case.lungs, case.infection, None, LICENCE)


def test_the_summary_shows_numbers_findings_and_pictures(result: AnalysisResult) -> None:
    shown = result._repr_html_()
    for words in ("12.5 %", "4,103 ml", "10", "&lt;b&gt;thick&lt;/b&gt;", "Not a medical device"):
        assert words in shown, words
    assert shown.count('src="data:image/jpeg;base64,') == 2
    assert len(shown) < 2_000_000


def test_images_of_other_libraries_agree_about_places(result: AnalysisResult) -> None:
    for image in (result.lungs, result.volume):
        nifti, itk = image.to_nibabel(), image.to_simpleitk()
        assert itk.GetSize() == nifti.shape
        index = (60, 36, 14)
        lps = np.array(itk.TransformIndexToPhysicalPoint(index))
        ras = nifti.affine @ [*index, 1.0]
        assert np.allclose(lps * (-1, -1, 1), ras[:3], atol=1e-4)
        assert itk.GetPixel(*index) == pytest.approx(float(np.asarray(nifti.dataobj)[index]))


def test_the_viewer_holds_scan_and_masks(result: AnalysisResult) -> None:
    pytest.importorskip("ipyniivue", reason="ipyniivue is not installed")
    viewer = result.view()
    assert [volume.name for volume in viewer.volumes] == ["scan.nii", "lungs.nii", "infection.nii"]


def test_without_the_library_the_viewer_says_what_to_install(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name == "ipyniivue":
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OptionError, match=r"groundglass\[notebook\]"):
        interactive_viewer(case.volume, case.lungs, case.infection)
