"""What a notebook shows of a result: the main numbers, the findings and pictures."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

import cv2
import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from groundglass.analysis import Analysis
from groundglass.report import wording
from groundglass.report.figures import NOTICE, overlay_montage
from groundglass.report.solid import solid_views
from groundglass.volume import CTVolume, LabelMap

_WIDTH = 1000
_QUALITY = 82


def notebook_html(analysis: Analysis, volume: CTVolume, lungs: LabelMap, infection: LabelMap) -> str:
    """A summary with pictures, as a fragment of HTML that loads nothing.

    Args:
        analysis: the record of the case.
        volume: the scan.
        lungs: 1 = right, 2 = left, on its grid.
        infection: 1 = ground-glass, 2 = consolidation, on its grid.
    """
    montage = np.asarray(overlay_montage(volume, lungs, infection, analysis=analysis).convert("RGB"))
    pictures = [_picture(montage, "Axial slices, a coronal and a sagittal plane with outlines")]
    if solids := solid_views(lungs, infection):
        row = np.concatenate([solid.pixels for solid in solids], axis=1)
        pictures.append(_picture(row, "Lungs and infection as solid bodies"))
    return str(
        Markup("").join(
            [_table(analysis), *_findings(analysis), *pictures, Markup("<p><small>{}</small></p>").format(NOTICE)]
        )
    )


def _table(analysis: Analysis) -> Markup:
    numbers = analysis.measurements
    rows: list[tuple[str, Sequence[str]]] = [
        ("Lung volume", [wording.millilitres(getattr(numbers.lung_volume_ml, side)) for side in _SIDES]),
        ("Infected volume", [wording.millilitres(getattr(numbers.infection_volume_ml, side)) for side in _SIDES]),
        ("Involvement", [wording.percent(getattr(numbers.involvement_percent, side)) for side in _SIDES]),
        ("Ground-glass", [wording.millilitres(numbers.infection_volume_ml.ground_glass), "", ""]),
        ("Consolidation", [wording.millilitres(numbers.infection_volume_ml.consolidation), "", ""]),
        (
            "Severity score, 0 to 24",
            [wording.UNKNOWN if numbers.zonal_severity_score is None else str(numbers.zonal_severity_score), "", ""],
        ),
        ("Mean density", [wording.hounsfield(numbers.mean_lung_hu), "", ""]),
    ]
    cells = Markup("").join(
        Markup("<tr><th style='text-align:left'>{}</th>{}</tr>").format(
            name, Markup("").join(Markup("<td style='text-align:right'>{}</td>").format(value) for value in values)
        )
        for name, values in rows
    )
    head = Markup("<tr><th></th><th>total</th><th>right</th><th>left</th></tr>")
    return Markup("<h4>{}</h4><table>{}{}</table>").format(analysis.case, head, cells)


_SIDES = ("total", "right", "left")


def _findings(analysis: Analysis) -> list[Markup]:
    return [
        Markup("<p><strong>{}:</strong> {} {}</p>").format(finding.severity.capitalize(), finding.text, finding.action)
        for finding in analysis.findings
    ]


def _picture(pixels: NDArray[np.uint8], words: str) -> Markup:
    height, width = pixels.shape[:2]
    if width > _WIDTH:
        size = (_WIDTH, round(height * _WIDTH / width))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    source = "data:image/jpeg;base64," + b64encode(data).decode("ascii")
    return Markup('<img style="max-width:100%" src="{}" alt="{}">').format(source, escape(words))
