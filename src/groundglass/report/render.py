"""Everything a reader looks at, made from one finished analysis: `overlay.png` and `report.html`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from groundglass.analysis import Analysis, Measurements
from groundglass.inference.cam import Attention
from groundglass.report import wording
from groundglass.report.attention import attention_pictures, attention_sheet
from groundglass.report.charts import density_chart, profile_chart, profile_sentence, zone_diagram
from groundglass.report.figures import overlay_montage, pictures_overlay, png_bytes
from groundglass.report.gallery import Slide, SolidPicture, slide, solid_picture
from groundglass.report.html import ReportImages, render_report
from groundglass.report.solid import solid_views
from groundglass.report.views import (
    Grey,
    Profile,
    axial_views,
    coronal_view,
    picture_views,
    profile,
    sagittal_view,
    spread_pictures,
    spread_slices,
)
from groundglass.volume import CTVolume, LabelMap, PictureSet, require_same_grid

_SLIDES = 60
_PRINTED = 12


@dataclass(frozen=True, slots=True)
class RenderedReport:
    """Finished files, not yet written.

    Attributes:
        overlay_png: content of `overlay.png`.
        report_html: content of `report.html`.
        attention_png: content of `attention.png`; None where nothing was classified.
    """

    overlay_png: bytes
    report_html: str
    attention_png: bytes | None = None


def render_volume(
    volume: CTVolume,
    lungs: LabelMap,
    infection: LabelMap,
    *,
    analysis: Analysis,
    licence: str,
    attention: Sequence[Attention] = (),
) -> RenderedReport:
    """Draw the overlay and write the report of a scan.

    Args:
        volume: the scan.
        lungs: 1 = right, 2 = left, on its grid.
        infection: 1 = ground-glass, 2 = consolidation, on its grid.
        analysis: the record of the case.
        licence: terms of the model, as plain text.
        attention: the slices that drove the classification.

    Raises:
        GeometryMismatchError: the labels are not on the grid of the scan.
    """
    require_same_grid(volume, lungs)
    require_same_grid(volume, infection)
    measured = profile(lungs, infection)
    shown = not wording.no_lungs(analysis) and measured.lung_slices is not None
    with ThreadPoolExecutor(max_workers=1) as beside:  # the bodies take as long as all the other pictures
        solids = beside.submit(_solid_pictures, lungs, infection) if shown else None
        overlay = png_bytes(overlay_montage(volume, lungs, infection, analysis=analysis, measured=measured))
        images = _volume_images(volume, lungs, infection, measured, analysis.measurements if shown else None)
        images = replace(images, attention=attention_pictures(attention), solids=solids.result() if solids else ())
    return RenderedReport(overlay, render_report(analysis, images, licence=licence), attention_sheet(attention))


def _solid_pictures(lungs: LabelMap, infection: LabelMap) -> list[SolidPicture]:
    return [solid_picture(solid) for solid in solid_views(lungs, infection)]


def _volume_images(
    volume: CTVolume, lungs: LabelMap, infection: LabelMap, measured: Profile, numbers: Measurements | None
) -> ReportImages:
    """The slices and charts of a scan; without charts of the lungs where `numbers` is None."""
    density = None
    if numbers is not None and numbers.hu_histogram is not None:
        density = density_chart(numbers.hu_histogram, numbers.density_bands or (), numbers.mean_lung_hu)
    slides = _axial_slides(volume, lungs, infection, measured)
    worst = volume.geometry.shape[2] - int(measured.infected_cm2.argmax())
    indices = [shown.index for shown in slides]
    return ReportImages(
        slides=slides,
        start=indices.index(worst) if measured.infected_cm2.any() else len(slides) // 2,
        planes=[slide(view(volume, lungs, infection, measured)) for view in (coronal_view, sagittal_view)],
        zones=zone_diagram(measured, numbers.zones, volume.geometry.spacing) if numbers else None,
        profile=profile_chart(measured) if numbers else None,
        profile_words=profile_sentence(measured),
        density=density,
        shown_of=volume.geometry.shape[2],
    )


def render_pictures(
    pictures: PictureSet,
    lungs: Sequence[Grey],
    infection: Sequence[Grey],
    *,
    analysis: Analysis,
    licence: str,
    attention: Sequence[Attention] = (),
) -> RenderedReport:
    """Draw the overlay and write the report of a set of pictures.

    Args:
        pictures: the pictures.
        lungs: for each picture uint8 (rows, columns), 1 = right, 2 = left.
        infection: for each picture uint8 (rows, columns), 1 = ground-glass, 2 = consolidation.
        analysis: the record of the case.
        licence: terms of the model, as plain text.
        attention: the slices that drove the classification.
    """
    chosen = spread_pictures(infection, _SLIDES)
    printed = {chosen[place] for place in spread_pictures([infection[place] for place in chosen], _PRINTED)}
    views = picture_views(pictures, lungs, infection, chosen)
    slides = [slide(view, printed=place in printed) for place, view in zip(chosen, views, strict=True)]
    overlay = pictures_overlay(pictures, lungs, infection, analysis=analysis)
    worst = max(range(len(views)), key=lambda place: views[place].percent or 0.0)
    drivers = attention_pictures(attention)
    images = ReportImages(slides=slides, start=worst, shown_of=len(pictures.slices), attention=drivers)
    html = render_report(analysis, images, licence=licence)
    return RenderedReport(png_bytes(overlay), html, attention_sheet(attention))


def _axial_slides(volume: CTVolume, lungs: LabelMap, infection: LabelMap, measured: Profile) -> list[Slide]:
    printed = spread_slices(measured, _PRINTED)
    chosen = sorted({*spread_slices(measured, _SLIDES), *printed}, reverse=True)
    tall = measured.box[2]
    slides = []
    for z, view in zip(chosen, axial_views(volume, lungs, infection, measured, chosen), strict=True):
        level = (tall.stop - z - 0.5) / (tall.stop - tall.start)
        slides.append(slide(view, level=level, printed=z in printed))
    return slides
