"""The PDF report and pictures with overlay as DICOM: encapsulated PDF, secondary capture."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import highdicom
import numpy as np
from highdicom.sc import ConversionTypeValues, SCImage
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from groundglass import __version__
from groundglass.errors import UnsupportedFormatError
from groundglass.export.case import FinishedCase
from groundglass.export.dicom_series_out import MANUFACTURER, NOTICE, NewSeries, new_uid
from groundglass.export.dicom_source import DicomSource

PDF_DESCRIPTION = "Groundglass report"
PICTURE_DESCRIPTION = "Groundglass overlays"

_STUDY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_IF_PRESENT = ("SpecificCharacterSet", "IssuerOfPatientID", "PatientAge", "StudyDescription")


def encapsulated_pdf(pdf: bytes, source: DicomSource, *, number: int = 9003) -> Dataset:
    """A PDF as an instance of the source's study.

    Args:
        pdf: the document.
        source: the series that was analyzed.
        number: of the new series.
    """
    series = NewSeries.make(number, PDF_DESCRIPTION)
    dataset, reference, now = Dataset(), source.reference, datetime.now(UTC)
    for keyword in (*_STUDY, *_IF_PRESENT):
        if keyword in reference:
            dataset[keyword] = reference[keyword]
    dataset.SOPClassUID, dataset.SOPInstanceUID = EncapsulatedPDFStorage, new_uid()
    dataset.Modality, dataset.ConversionType = "DOC", "WSD"
    dataset.SeriesInstanceUID, dataset.SeriesNumber = series.uid, series.number
    dataset.SeriesDescription, dataset.InstanceNumber = series.description, 1
    dataset.Manufacturer = dataset.ManufacturerModelName = MANUFACTURER
    dataset.SoftwareVersions = dataset.DeviceSerialNumber = __version__
    dataset.ContentDate = dataset.SeriesDate = now.strftime("%Y%m%d")
    dataset.ContentTime = dataset.SeriesTime = now.strftime("%H%M%S")
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "NO"
    dataset.DocumentTitle = f"{PDF_DESCRIPTION} ({NOTICE})"[:64]
    dataset.ConceptNameCodeSequence = []
    dataset.SourceInstanceSequence = [_reference(image) for image in source.images]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(pdf)
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    dataset["EncapsulatedDocument"].VR = "OB"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    return dataset


def secondary_captures(case: FinishedCase, source: DicomSource, *, number: int = 9004) -> list[SCImage]:
    """The overlay montage, then every slice with lung with its outlines drawn in, from head to feet.

    Args:
        case: the analysis, with its overlay picture.
        source: its series.
        number: of the new series.

    Raises:
        UnsupportedFormatError: the overlay picture is missing.
    """
    if case.overlay_png is None:
        raise UnsupportedFormatError(f"{case.folder}: overlay.png is missing; analyze the scan again")
    series = NewSeries.make(number, PICTURE_DESCRIPTION)
    montage = np.asarray(Image.open(io.BytesIO(case.overlay_png)).convert("RGB"))
    pictures: list[tuple[NDArray[np.uint8], Dataset | None]] = [(montage, None)]
    pictures += overlay_slices(case, source)
    return [_capture(pixels, source, series, place, image) for place, (pixels, image) in enumerate(pictures, start=1)]


def overlay_slices(case: FinishedCase, source: DicomSource) -> list[tuple[NDArray[np.uint8], Dataset | None]]:
    """RGB (rows, columns, 3) of every slice with lung, in the source's own orientation, and the image it shows."""
    from groundglass.report.drawing import draw_labels
    from groundglass.report.views import LUNG_WINDOW, View

    lungs, infection = case.lungs.on_source_grid(), case.infection.on_source_grid()
    low, high = LUNG_WINDOW
    drawn = []
    for index in range(lungs.shape[2]):
        if not lungs[:, :, index].any():
            continue
        scan = source.hounsfield(index)
        grey = np.rint((np.clip(scan, low, high) - low) * (255.0 / (high - low))).astype(np.uint8)
        view = View(
            grey,
            np.ascontiguousarray(lungs[:, :, index].T),
            np.ascontiguousarray(infection[:, :, index].T),
            None,
        )
        tile = np.repeat(grey[:, :, None], 3, axis=2)
        draw_labels(tile, view)
        drawn.append((tile, source.images[index] if source.one_image_per_plane else None))
    return drawn[::-1] if case.lungs.source.geometry.affine[2, 2] > 0 else drawn


def _capture(
    pixels: NDArray[np.uint8], source: DicomSource, series: NewSeries, place: int, image: Dataset | None
) -> SCImage:
    options = series.equipment()
    for name in ("manufacturer_model_name", "software_versions", "device_serial_number", "series_description"):
        options.pop(name)
    orientation = _letters(image) if image is not None else ("L", "P")
    capture = SCImage.from_ref_dataset(
        ref_dataset=source.reference,
        pixel_array=np.ascontiguousarray(pixels),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system=highdicom.CoordinateSystemNames.PATIENT,
        instance_number=place,
        patient_orientation=orientation,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **options,
    )
    capture.ConversionType = ConversionTypeValues.WSD.value
    capture.SeriesDescription = series.description
    capture.ImageComments, capture.BodyPartExamined = NOTICE, "CHEST"
    capture.SecondaryCaptureDeviceManufacturer = MANUFACTURER
    capture.SecondaryCaptureDeviceManufacturerModelName = MANUFACTURER
    capture.SecondaryCaptureDeviceSoftwareVersions = __version__
    # The montage carries the name of the case, the slices nothing.
    capture.BurnedInAnnotation = "YES" if image is None and place == 1 else "NO"
    if image is not None:
        capture.SourceImageSequence = [_reference(image)]
    return capture


def _letters(image: Dataset) -> tuple[str, str]:
    """Anatomical direction of the rows and of the columns, the nearest of the six."""
    cosines = np.array([float(value) for value in image.ImageOrientationPatient]).reshape(2, 3)
    names = (("R", "L"), ("A", "P"), ("F", "H"))
    found = []
    for direction in cosines:
        axis = int(np.abs(direction).argmax())
        found.append(names[axis][int(direction[axis] > 0)])
    return found[0], found[1]


def _reference(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item
