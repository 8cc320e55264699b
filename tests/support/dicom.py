"""A small DICOM writer: any array and affine as a CT series, with any defect."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MR = "1.2.840.10008.5.1.4.1.1.4"

Edit = Callable[[Dataset, int], None]

PATIENT = "Mustermann^Erika"
PATIENT_ID = "PAT-4711-SECRET"


@dataclass(frozen=True)
class SeriesSpec:
    """How a series is written.

    Attributes:
        slope: rescale slope.
        intercept: rescale intercept.
        syntax: transfer syntax of the files (uncompressed ones only).
        signed: pixel representation.
        uid: series UID; a fresh one when empty.
        number: series number.
        prefix: start of the file names.
        skip: slices that are not written.
        tags: attributes that replace the usual ones; None deletes one.
        edit: last change of every dataset, with its slice index.
    """

    slope: float = 1.0
    intercept: float = -1024.0
    syntax: str = ExplicitVRLittleEndian
    signed: bool = False
    uid: str = ""
    number: int = 3
    prefix: str = "slice"
    skip: Collection[int] = ()
    tags: dict[str, Any] = field(default_factory=dict)
    edit: Edit | None = None


def write_series(folder: Path, hu: NDArray[Any], affine: NDArray[np.float64], spec: SeriesSpec | None = None) -> Path:
    """Write `hu` (i, j, k) on a RAS affine as one file per k; i runs along a row, j along a column."""
    spec = spec or SeriesSpec()
    folder.mkdir(parents=True, exist_ok=True)
    uid = spec.uid or generate_uid()
    for k in range(hu.shape[2]):
        if k in spec.skip:
            continue
        dataset = slice_dataset(hu[:, :, k], affine, k, spec)
        dataset.SeriesInstanceUID = uid
        _apply(dataset, k, spec)
        # Names and instance numbers run against the position, so that a reader that trusts them fails.
        save(dataset, folder / f"{spec.prefix}_{hu.shape[2] - k:03d}.dcm", spec.syntax)
    return folder


def slice_dataset(hu: NDArray[Any], affine: NDArray[np.float64], k: int, spec: SeriesSpec) -> Dataset:
    """One slice (i, j) as a CT image."""
    dataset = _common(spec, CT)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    dataset.ImagePositionPatient = _decimals(lps[:3, 3] + k * lps[:3, 2])
    dataset.ImageOrientationPatient = _decimals([*(lps[:3, 0] / spacing[0]), *(lps[:3, 1] / spacing[1])])
    dataset.PixelSpacing = _decimals([spacing[1], spacing[0]])
    dataset.SliceThickness = _decimals([spacing[2]])[0]
    dataset.InstanceNumber = 1000 - k
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = str(spec.slope), str(spec.intercept), "HU"
    put_pixels(dataset, hu.T, spec)
    return dataset


def write_enhanced(path: Path, hu: NDArray[Any], affine: NDArray[np.float64], spec: SeriesSpec | None = None) -> Path:
    """Write `hu` (i, j, k) as one enhanced multi-frame CT, frames in reverse order."""
    spec = spec or SeriesSpec()
    dataset = _common(spec, ENHANCED_CT)
    dataset.SeriesInstanceUID = spec.uid or generate_uid()
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    shared = Dataset()
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = _decimals([spacing[1], spacing[0]]), _decimals([spacing[2]])[0]
    orientation.ImageOrientationPatient = _decimals([*(lps[:3, 0] / spacing[0]), *(lps[:3, 1] / spacing[1])])
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([orientation])
    order = list(range(hu.shape[2]))[::-1]
    groups = []
    for k in order:
        group, position, rescale = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = _decimals(lps[:3, 3] + k * lps[:3, 2])
        rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = spec.slope, spec.intercept, "HU"
        group.PlanePositionSequence = Sequence([position])
        group.PixelValueTransformationSequence = Sequence([rescale])
        groups.append(group)
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    dataset.NumberOfFrames = len(order)
    put_pixels(dataset, hu.transpose(2, 1, 0)[order], spec)
    _apply(dataset, 0, spec)
    save(dataset, path, spec.syntax)
    return path


def put_pixels(dataset: Dataset, hu: NDArray[Any], spec: SeriesSpec) -> None:
    """Store (..., rows, columns) HU as 16-bit pixels."""
    kind = np.int16 if spec.signed else np.uint16
    stored = np.round((hu - spec.intercept) / spec.slope).astype(kind)
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(spec.signed)
    big = spec.syntax == pydicom.uid.ExplicitVRBigEndian
    dataset.add_new("PixelData", "OW", (stored.byteswap() if big else stored).tobytes())


def save(dataset: Dataset, path: Path, syntax: str) -> None:
    """Write a DICOM file with its preamble."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CT)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", generate_uid())
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


def recompress(path: Path, kind: str) -> None:
    """Pack a file's pixels with GDCM, e.g. `JPEGLosslessProcess14_1` or `JPEGLSLossless`."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, kind)))
    change.SetInput(reader.GetImage())
    assert change.Change(), kind
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write(), kind


def _common(spec: SeriesSpec, sop_class: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, generate_uid()
    dataset.StudyInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = PATIENT, PATIENT_ID, "19640229"
    dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SeriesNumber, dataset.SeriesDescription = spec.number, "Thorax 2.0 B70f"
    dataset.Manufacturer, dataset.ManufacturerModelName = "Phantom", "Writer 1"
    dataset.ConvolutionKernel, dataset.KVP = "B70f", "120"
    return dataset


def _apply(dataset: Dataset, k: int, spec: SeriesSpec) -> None:
    for keyword, value in spec.tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    if spec.edit is not None:
        spec.edit(dataset, k)


def _decimals(values: Any) -> list[str]:
    """Decimal strings of at most 16 characters."""
    return [f"{float(value):.10g}"[:16] for value in np.ravel(values)]
