"""Planes as valid DICOM files of a made-up patient, in any common transfer syntax."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from groundglass.errors import OptionError, OutputError
from groundglass.phantom.defects import SeriesDefects, TransferSyntax
from groundglass.phantom.dicom_slices import Plane
from groundglass.volume import CTVolume

_PLAIN_SYNTAX = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}
_GDCM_SYNTAX = {
    "jpeg-lossless": "JPEGLosslessProcess14_1",
    "jpeg-ls": "JPEGLSLossless",
    "jpeg-2000": "JPEG2000Lossless",
    "jpeg-baseline": "JPEGBaselineProcess1",
}


def uid(*parts: object) -> str:
    """A valid UID that depends on nothing but `parts`."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:15], 'big')}"


def image_dataset(plane: Plane, place: int, defects: SeriesDefects, seed: int, *, series: int = 1) -> Dataset:
    """One plane as a single-frame image.

    Args:
        plane: pixels and place.
        place: running number of the file within the series.
        defects: what is unusual about it.
        seed: of the study.
        series: number of the series within the study.
    """
    dataset = _common(defects, seed, series)
    storage = CTImageStorage if defects.modality != "MR" else MRImageStorage
    if defects.colour:
        storage = SecondaryCaptureImageStorage
    _identify(dataset, storage, uid("image", seed, series, place))
    dataset.ImageType = ["DERIVED", "SECONDARY"] if defects.colour else ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = plane.number
    if not defects.without_position:
        dataset.ImagePositionPatient = [_decimal(value) for value in plane.position]
    dataset.ImageOrientationPatient = [_decimal(value) for value in plane.orientation]
    if not defects.without_spacing:
        dataset.PixelSpacing = [_decimal(value) for value in plane.spacing]
    dataset.SliceThickness = _decimal(plane.thickness)
    if defects.colour:
        _set_pixels(dataset, _picture(plane.hu))
    else:
        dataset.RescaleIntercept, dataset.RescaleSlope = _decimal(plane.intercept), _decimal(plane.slope)
        dataset.RescaleType = "HU"
        _set_pixels(dataset, _stored(plane, defects))
    if defects.without_pixels:
        del dataset.PixelData
    return dataset


def localizer_dataset(volume: CTVolume, defects: SeriesDefects, seed: int, series: int) -> Dataset:
    """A coronal scout view: the mean of the volume from front to back."""
    geometry = volume.geometry
    scout = volume.values.mean(axis=1)[::-1, ::-1].T
    right, front, top = geometry.world(np.array(geometry.shape) - 1).tolist()
    plane = Plane(
        np.ascontiguousarray(np.rint(scout), dtype=np.float32),
        (-right, -front, top),
        (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
        (geometry.spacing[2], geometry.spacing[0]),
        geometry.spacing[1] * geometry.shape[1],
        1,
    )
    dataset = image_dataset(plane, 9000, defects, seed, series=series)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return dataset


def multi_frame_dataset(planes: list[Plane], defects: SeriesDefects, seed: int) -> Dataset:
    """All planes as one enhanced multi-frame image."""
    dataset = _common(defects, seed, 1)
    _identify(dataset, EnhancedCTImageStorage, uid("frames", seed))
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.InstanceNumber = 1
    first = planes[0]
    shared, measures, orientation, rescale = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [_decimal(value) for value in first.spacing]
    measures.SliceThickness = _decimal(first.thickness)
    orientation.ImageOrientationPatient = [_decimal(value) for value in first.orientation]
    rescale.RescaleIntercept, rescale.RescaleSlope = _decimal(first.intercept), _decimal(first.slope)
    rescale.RescaleType = "HU"
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelValueTransformationSequence = Sequence([rescale])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        [_frame_group(plane, number, defects) for number, plane in enumerate(planes, start=1)]
    )
    dataset.NumberOfFrames = len(planes)
    _set_pixels(dataset, np.stack([_stored(plane, defects) for plane in planes]))
    if defects.without_pixels:
        del dataset.PixelData
    return dataset


def _frame_group(plane: Plane, number: int, defects: SeriesDefects) -> Dataset:
    group, position, content = Dataset(), Dataset(), Dataset()
    if not defects.without_position:
        position.ImagePositionPatient = [_decimal(value) for value in plane.position]
        group.PlanePositionSequence = Sequence([position])
    content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", number, [1, number]
    group.FrameContentSequence = Sequence([content])
    if defects.rescale_per_slice:
        rescale = Dataset()
        rescale.RescaleIntercept, rescale.RescaleSlope = _decimal(plane.intercept), _decimal(plane.slope)
        rescale.RescaleType = "HU"
        group.PixelValueTransformationSequence = Sequence([rescale])
    return group


def save(dataset: Dataset, path: Path, syntax: TransferSyntax) -> None:
    """Write a dataset as a DICOM file in a transfer syntax.

    Raises:
        OutputError: the encoder failed.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = _PLAIN_SYNTAX.get(syntax, ExplicitVRLittleEndian)
    dataset.file_meta = meta
    if syntax == "jpeg-baseline" and "PixelData" in dataset:
        _to_eight_bits(dataset)
    if syntax == "rle" and "PixelData" in dataset:
        dataset.compress(RLELossless, generate_instance_uid=False)
    if syntax == "big-endian" and "PixelData" in dataset and dataset.BitsAllocated == 16:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    plain = syntax in _PLAIN_SYNTAX
    little = syntax != "big-endian"
    if plain:
        dcmwrite(path, dataset, implicit_vr=syntax == "implicit", little_endian=little, enforce_file_format=True)
        return
    dcmwrite(path, dataset, enforce_file_format=True)
    if syntax in _GDCM_SYNTAX and "PixelData" in dataset:
        _transcode(path, _GDCM_SYNTAX[syntax])


def _transcode(path: Path, syntax: str) -> None:
    try:
        import gdcm
    except ImportError:
        raise OptionError("compressed test series need GDCM: pip install python-gdcm") from None
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    if not reader.Read():
        raise OutputError(f"{path}: the uncompressed file cannot be read back; check the free space of the disk")
    change.SetInput(reader.GetImage())
    if not change.Change():
        raise OutputError(f"{path}: the pixels cannot be compressed as {syntax}")
    # GDCM writes a version of its own and its own name; only the pixels are taken from it.
    scratch = path.with_name(path.name + ".part")
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(scratch))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    written = writer.Write()
    if not written:
        raise OutputError(f"{scratch}: the compressed file cannot be written; check the free space of the disk")
    dataset, compressed = dcmread(path), dcmread(scratch)
    dataset.file_meta.TransferSyntaxUID = compressed.file_meta.TransferSyntaxUID
    dataset.PixelData = compressed.PixelData
    dataset["PixelData"].is_undefined_length = True
    dataset.PhotometricInterpretation = compressed.PhotometricInterpretation
    dcmwrite(path, dataset, enforce_file_format=True)
    scratch.unlink()


def _common(defects: SeriesDefects, seed: int, series: int) -> Dataset:
    """Patient, study and series of a made-up patient."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = defects.patient_name or "SYNTHETIC^PHANTOM"
    dataset.PatientID = f"SYNTHETIC-{seed}"
    dataset.PatientBirthDate, dataset.PatientSex = "", "O"
    dataset.StudyInstanceUID = uid("study", seed)
    dataset.SeriesInstanceUID = uid("series", seed, series)
    dataset.FrameOfReferenceUID = uid("frame", seed)
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = str(seed), "", ""
    dataset.StudyDate, dataset.StudyTime = "20200101", "120000"
    dataset.SeriesNumber, dataset.SeriesDescription = series, f"Synthetic chest {series}"
    dataset.Modality, dataset.Manufacturer = defects.modality, "Groundglass phantom"
    dataset.BodyPartExamined, dataset.PatientPosition = "CHEST", "HFS"
    dataset.KVP, dataset.ConvolutionKernel = "120", "STANDARD"
    dataset.PositionReferenceIndicator = ""
    return dataset


def _identify(dataset: Dataset, storage: str, instance: str) -> None:
    dataset.SOPClassUID = storage
    dataset.SOPInstanceUID = instance


def _decimal(value: float) -> str:
    """A DICOM decimal string: at most 16 characters."""
    text = f"{value:.8f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text[:16]


def _stored(plane: Plane, defects: SeriesDefects) -> NDArray[Any]:
    values = np.rint((plane.hu - plane.intercept) / plane.slope)
    if defects.signed:
        return np.asarray(np.clip(values, -32768, 32767), dtype="<i2")
    return np.asarray(np.clip(values, 0, 65535), dtype="<u2")


def _picture(hu: NDArray[np.float32]) -> NDArray[np.uint8]:
    grey = np.clip((hu + 1350) / 1500 * 255, 0, 255).astype(np.uint8)
    colour = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    cv2.putText(colour, "R", (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 220, 0), 1)
    return np.asarray(colour, dtype=np.uint8)


def _set_pixels(dataset: Dataset, pixels: NDArray[Any]) -> None:
    colour = pixels.dtype == np.uint8
    shape = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    dataset.Rows, dataset.Columns = shape
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = 1 if pixels.dtype.kind == "i" else 0
    data = pixels.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"


def _to_eight_bits(dataset: Dataset) -> None:
    """Store the pixels as 8 bit, as lossy JPEG needs them; the rescale still gives HU."""
    kind = "<i2" if dataset.PixelRepresentation else "<u2"
    stored = np.frombuffer(dataset.PixelData, kind).astype(np.float64)
    rescale = dataset
    if "SharedFunctionalGroupsSequence" in dataset:
        rescale = dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0]
    hu = stored * float(rescale.RescaleSlope) + float(rescale.RescaleIntercept)
    step = 1500 / 255
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    values = np.clip(np.rint((hu + 1350) / step), 0, 255).astype(np.uint8)
    rescale.RescaleSlope, rescale.RescaleIntercept = _decimal(step), "-1350"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    data = values.reshape(-1, rows, columns).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB"
