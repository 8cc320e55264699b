"""What `analyze` returns: the record together with the images, and how they are saved."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import Analysis, Classification, Measurements
from groundglass.finding import Finding
from groundglass.io.write import atomic_write_bytes, case_folder, write_nifti
from groundglass.volume import CTVolume, Heatmap, LabelMap, PictureSet

if TYPE_CHECKING:
    from groundglass.inference.cam import Attention
    from groundglass.report.render import RenderedReport

R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class AnalysisResult:
    """The analysis of one scan.

    Attributes:
        analysis: the record, as in `analysis.json`.
        volume: the scan that was analyzed, in RAS+ order.
        lungs: 1 = right lung, 2 = left lung, on the scan's grid.
        infection: 1 = ground-glass, 2 = consolidation, on the scan's grid.
        probability: probability of infection, where it was asked for.
        licence: terms of the network's training data, printed in the report.
        attention: the slices that drove the classification, with their heat maps.
    """

    analysis: Analysis
    volume: CTVolume
    lungs: LabelMap
    infection: LabelMap
    probability: Heatmap | None
    licence: str
    attention: list[Attention] = field(default_factory=list)

    @property
    def measurements(self) -> Measurements:
        """The numbers of the scan."""
        return self.analysis.measurements

    @property
    def findings(self) -> list[Finding]:
        """Remarks on the input and the result."""
        return self.analysis.findings

    @property
    def classification(self) -> Classification | None:
        """What it looks like, or why no class is named; None where no classifier took part."""
        return self.analysis.classification

    def view(self) -> Any:  # noqa: ANN401 - a widget of an optional library
        """The scan with its masks in an interactive viewer, for notebooks.

        Raises:
            OptionError: ipyniivue is not installed (`groundglass[notebook]`).
        """
        from groundglass.report.viewer import interactive_viewer

        return interactive_viewer(self.volume, self.lungs, self.infection)

    def _repr_html_(self) -> str:
        """Summary and pictures, as a notebook shows the result."""
        from groundglass.report.notebook import notebook_html

        return notebook_html(self.analysis, self.volume, self.lungs, self.infection)

    def save(self, folder: str | Path) -> Path:
        """Write the case into `folder/<case>/`; it appears there only when complete.

        Returns:
            The folder of the case.

        Raises:
            OutputError: the folder cannot be written.
        """
        return _save(Path(folder), self.analysis, self._render, self._write_images)

    def _render(self) -> RenderedReport:
        from groundglass.report.render import render_volume

        return render_volume(
            volume=self.volume,
            lungs=self.lungs,
            infection=self.infection,
            analysis=self.analysis,
            licence=self.licence,
            attention=self.attention,
        )

    def _write_images(self, folder: Path) -> None:
        write_nifti(self.lungs, folder / "lungs.nii.gz")
        write_nifti(self.infection, folder / "infection.nii.gz")
        if self.probability is not None:
            write_nifti(self.probability, folder / "infection_probability.nii.gz")


@dataclass(frozen=True, eq=False)
class PictureResult:
    """The analysis of one picture or of a folder of pictures.

    Attributes:
        analysis: the record, as in `analysis.json`; `analysis.slices` has one entry per picture.
        pictures: what was analyzed.
        lungs: per picture uint8 (rows, columns), 1 = right lung, 2 = left lung.
        infection: per picture uint8 (rows, columns), 1 = ground-glass, 2 = consolidation.
        probability: per picture uint8 (rows, columns), 0..255 for 0..1, where it was asked for.
        licence: terms of the network's training data, printed in the report.
        attention: the slices that drove the classification, with their heat maps.
    """

    analysis: Analysis
    pictures: PictureSet
    lungs: list[NDArray[np.uint8]]
    infection: list[NDArray[np.uint8]]
    probability: list[NDArray[np.uint8]] | None
    licence: str
    attention: list[Attention] = field(default_factory=list)

    @property
    def measurements(self) -> Measurements:
        """The pooled numbers of all pictures."""
        return self.analysis.measurements

    @property
    def findings(self) -> list[Finding]:
        """Remarks on the input and the result."""
        return self.analysis.findings

    @property
    def classification(self) -> Classification | None:
        """What it looks like, or why no class is named; None where no classifier took part."""
        return self.analysis.classification

    def save(self, folder: str | Path) -> Path:
        """Write the case into `folder/<case>/`; it appears there only when complete.

        Returns:
            The folder of the case.

        Raises:
            OutputError: the folder cannot be written.
        """
        return _save(Path(folder), self.analysis, self._render, self._write_images)

    def _render(self) -> RenderedReport:
        from groundglass.report.render import render_pictures

        return render_pictures(
            pictures=self.pictures,
            lungs=self.lungs,
            infection=self.infection,
            analysis=self.analysis,
            licence=self.licence,
            attention=self.attention,
        )

    def _write_images(self, folder: Path) -> None:
        for kind, images in self._image_sets().items():
            (folder / kind).mkdir()
            for name, image in zip(mask_names(self.pictures), images, strict=True):
                atomic_write_bytes(folder / kind / name, _png(image))

    def _image_sets(self) -> dict[str, list[NDArray[np.uint8]]]:
        sets = {"lungs": self.lungs, "infection": self.infection}
        return sets if self.probability is None else sets | {"infection_probability": self.probability}


def mask_names(pictures: PictureSet) -> list[str]:
    """File name of each picture's mask: the picture's own name with the ending `.png`.

    Pictures that differ in their ending alone (`a.png`, `a.jpg`) keep it: `a.png.png`, `a.jpg.png`.
    """
    stems = Counter(Path(picture.name).stem for picture in pictures.slices)
    return [
        f"{Path(picture.name).stem}.png" if stems[Path(picture.name).stem] == 1 else f"{picture.name}.png"
        for picture in pictures.slices
    ]


def _save(
    folder: Path, analysis: Analysis, render: Callable[[], RenderedReport], write_images: Callable[[Path], None]
) -> Path:
    """Write the images while the report is drawn, then the report with the seconds that both took."""
    with case_folder(folder, analysis.case) as (partial, final), ThreadPoolExecutor(1) as helper:
        writing = helper.submit(_timed, lambda: write_images(partial))
        report, drawn = _timed(render)
        _, written = writing.result()
        seconds = analysis.run.seconds | {"report": drawn, "write": written}
        run = analysis.run.model_copy(update={"seconds": seconds})
        _write_report(partial, analysis.model_copy(update={"run": run}), report)
    return final


def _timed(work: Callable[[], R]) -> tuple[R, float]:
    start = time.perf_counter()
    return work(), round(time.perf_counter() - start, 3)


def _write_report(folder: Path, analysis: Analysis, report: RenderedReport) -> None:
    atomic_write_bytes(folder / "overlay.png", report.overlay_png)
    if report.attention_png is not None:
        atomic_write_bytes(folder / "attention.png", report.attention_png)
    atomic_write_bytes(folder / "report.html", report.report_html.encode())
    atomic_write_bytes(folder / "analysis.json", analysis.to_json().encode())


def _png(image: NDArray[np.uint8]) -> bytes:
    import cv2

    _, data = cv2.imencode(".png", image)
    return bytes(data)
