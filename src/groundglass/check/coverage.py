"""Does the scan show a whole chest, finely enough?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.check.sample import AIR_HU, GAS_HU, TISSUE_HU, VolumeSample
from groundglass.finding import Finding
from groundglass.volume import CTVolume

FEW_SLICES = 10
THICK_MM = 5.0
SHORT_MM = 150.0
SMALL_FIELD_MM = 220.0
SMALL_MATRIX = 100
BODY_ML = 500.0
BODY_CM2 = 60.0
LUNG_ML = 100.0
LUNG_CM2 = 8.0
OPEN_LUNG_ML = 800.0
OPEN_LUNG_CM2 = 60.0
MOST_OUTSIDE_AIR = 0.2


def check_grid(volume: CTVolume) -> list[Finding]:
    """Findings on the number, the spacing and the extent of the voxels."""
    return [*_slices(volume), *_field(volume), *_spacing(volume)]


def _slices(volume: CTVolume) -> list[Finding]:
    count, spacing = volume.geometry.shape[2], volume.geometry.spacing[2]
    findings = []
    if count == 1:
        findings.append(
            Finding(
                code="single-slice",
                severity="warning",
                text="The scan is a single axial slice: volumes are those of one slice, not of the lungs.",
                action="Use the whole series; from one slice take the shares, not the millilitres.",
            )
        )
    elif count < FEW_SLICES:
        findings.append(
            Finding(
                code="few-slices",
                severity="warning",
                text=f"The scan has {count} axial slices only; a whole chest has 30 or more.",
                action="Check that the whole series was given, and that it is axial.",
            )
        )
    if count > 1 and spacing > THICK_MM + 0.01:
        findings.append(
            Finding(
                code="thick-slices",
                severity="warning",
                text=f"The slices are {spacing:.3g} mm apart: small lesions fall between them and volumes are coarse.",
                action="Use a reconstruction with slices of 3 mm or less if there is one.",
            )
        )
    return findings + _gaps(volume)


def _gaps(volume: CTVolume) -> list[Finding]:
    spacing = volume.geometry.spacing[2]
    try:
        thickness = float(volume.source.details.get("slice_thickness_mm", "0"))
    except ValueError:
        return []
    if not 0.0 < thickness < 0.75 * spacing or volume.geometry.shape[2] == 1:
        return []
    return [
        Finding(
            code="slice-gaps",
            severity="warning",
            text=f"Slices of {thickness:.3g} mm stand {spacing:.3g} mm apart: what lies between was not imaged.",
            action="Volumes assume that the gaps look like their slices; use a contiguous series if there is one.",
        )
    ]


def _field(volume: CTVolume) -> list[Finding]:
    shape, spacing = volume.geometry.shape, volume.geometry.spacing
    width, depth, height = (size * step for size, step in zip(shape, spacing, strict=True))
    findings = []
    if min(shape[:2]) < SMALL_MATRIX:
        findings.append(
            Finding(
                code="small-matrix",
                severity="warning",
                text=f"The slices have {shape[0]}x{shape[1]} pixels only; the network expects 256x256 or more.",
                action="Use the scan at its original resolution.",
            )
        )
    if max(width, depth) < SMALL_FIELD_MM:
        findings.append(
            Finding(
                code="small-field-of-view",
                severity="warning",
                text=f"The slices are {width:.0f} x {depth:.0f} mm, too small for both lungs of an adult.",
                action="Use a reconstruction of the whole chest; shares refer to the part that is shown.",
            )
        )
    if shape[2] >= FEW_SLICES and height < SHORT_MM:
        findings.append(
            Finding(
                code="short-scan",
                severity="warning",
                text=f"The scan is {height:.0f} mm high; adult lungs are 200 mm or more.",
                action="Read volumes and shares as those of the part that was scanned.",
            )
        )
    return findings


def _spacing(volume: CTVolume) -> list[Finding]:
    x, y, z = volume.geometry.spacing
    size_x, size_y, size_z = volume.geometry.shape
    if max(abs(step - 1.0) for step in (x, y, z)) < 1e-6 and max(size_x, size_y) >= 500:
        return [
            Finding(
                code="default-spacing",
                severity="warning",
                text="The voxels are exactly 1 x 1 x 1 mm: the file seems to have lost its voxel size.",
                action="Restore the voxel size from the original; until then trust shares, not millilitres.",
            )
        ]
    extent = (size_x * x, size_y * y, size_z * z)
    if not 0.2 <= min(x, y) <= max(x, y) <= 6.0 or not 0.2 <= z <= 20.0 or max(extent) > 2200.0:
        return [
            Finding(
                code="implausible-spacing",
                severity="warning",
                text=f"Voxels of {x:.3g} x {y:.3g} x {z:.3g} mm are implausible for a chest CT.",
                action="Check the voxel size in the file; until then trust shares, not millilitres.",
            )
        ]
    if max(x, y) > 1.5 * min(x, y):
        return [
            Finding(
                code="stretched-pixels",
                severity="warning",
                text=f"Pixels of {x:.3g} x {y:.3g} mm are not square; axial CT slices have square pixels.",
                action="Check that the slices are axial and that the voxel size was kept.",
            )
        ]
    return []


def check_body(sample: VolumeSample) -> list[Finding]:
    """Whether there is a body with air of lung size inside; for values in HU."""
    height_cm = sample.height_mm / 10.0
    low, high = TISSUE_HU
    tissue = np.count_nonzero((sample.values > low) & (sample.values < high)) * sample.voxel_ml
    if tissue < min(BODY_ML, BODY_CM2 * height_cm):
        return [
            Finding(
                code="no-body",
                severity="error",
                text="There is (almost) no soft tissue in the scan.",
                action="Check that this is a CT scan of a patient and that its values are Hounsfield units.",
            )
        ]
    lung_like = (sample.values > GAS_HU) & (sample.values < AIR_HU)
    inside = np.count_nonzero(lung_like & sample.lungs) * sample.voxel_ml
    if inside >= min(LUNG_ML, LUNG_CM2 * height_cm) or _is_cropped_to_lungs(sample, lung_like):
        return []
    return [
        Finding(
            code="not-a-chest",
            severity="warning",
            text="No air-filled region of the size of a lung lies inside the body.",
            action="Check that this is a scan of the chest; a head or an abdomen cannot be analyzed.",
        )
    ]


def _is_cropped_to_lungs(sample: VolumeSample, lung_like: NDArray[np.bool_]) -> bool:
    """Whether lungs reach the border and are not enclosed by a body: no air around, but much lung-like tissue."""
    values = sample.values
    border = np.concatenate([values[:, 0], values[:, -1], values[:, :, 0], values[:, :, -1]], axis=1)
    if np.count_nonzero(border < GAS_HU) > MOST_OUTSIDE_AIR * border.size:
        return False
    least = min(OPEN_LUNG_ML, OPEN_LUNG_CM2 * sample.height_mm / 10.0)
    return bool(np.count_nonzero(lung_like) * sample.voxel_ml >= least)
