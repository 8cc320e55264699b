"""DICOM Structured Report (TID 1500): the measurements, bound to the segments they were taken on."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom
from highdicom import sr
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from groundglass import __version__
from groundglass.analysis import Zone
from groundglass.export.case import FinishedCase
from groundglass.export.codes import (
    ATTENUATION,
    BOTH_SIDES,
    CT_CHEST,
    HOUNSFIELD,
    INFECTED_VOLUME,
    INVOLVEMENT,
    LEFT,
    LUNG,
    MEAN,
    MILLILITRE,
    NO_UNITS,
    PERCENT,
    RIGHT,
    SCHEME,
    VOLUME,
    ZONAL_SCORE,
    ZONE_SCORE,
    ZONES,
    Code,
    Segment,
    segments,
)
from groundglass.export.dicom_seg import concept
from groundglass.export.dicom_series_out import MANUFACTURER, NewSeries, algorithm_version, model_names, new_uid
from groundglass.export.dicom_source import DicomSource

DESCRIPTION = "Groundglass measurements"

_SIDES = {"right": RIGHT, "left": LEFT}

Value = tuple[Code, float | None, Code]


def measurement_report(
    case: FinishedCase, source: DicomSource, seg: highdicom.seg.Segmentation, *, number: int = 9002
) -> highdicom.sr.Comprehensive3DSR:
    """The numbers of an analysis as a measurement report.

    One group per segment (volume; of the lungs also involvement), one for both lungs (volume, infected volume,
    involvement, mean density, severity score) and one per zone.

    Args:
        case: the analysis.
        source: its series.
        seg: the segmentation that the groups refer to.
        number: of the new series.
    """
    series = NewSeries.make(number, DESCRIPTION)
    images = list(source.images)
    content = sr.MeasurementReport(
        observation_context=_observer(),
        procedure_reported=concept(CT_CHEST),
        imaging_measurements=[*_segment_groups(case, source, seg), _lungs_group(case, source), *_zone_groups(case)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    report = sr.Comprehensive3DSR(
        evidence=[*images, seg],
        content=content[0],
        instance_number=1,
        is_complete=True,
        is_final=False,
        is_verified=False,
        **series.equipment(),
    )
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = SCHEME, "Measurements of Groundglass"
    scheme.CodingSchemeResponsibleOrganization = MANUFACTURER
    report.CodingSchemeIdentificationSequence = [scheme]
    return report


def _observer() -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=new_uid(),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=MANUFACTURER,
        serial_number=__version__,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )


def _algorithm(case: FinishedCase) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        name=f"{MANUFACTURER} {model_names(case.analysis)}", version=algorithm_version(case.analysis)
    )


def _segment_groups(
    case: FinishedCase, source: DicomSource, seg: highdicom.seg.Segmentation
) -> list[sr.VolumetricROIMeasurementsAndQualitativeEvaluations]:
    origin = sr.SourceSeriesForSegmentation(source.reference.SeriesInstanceUID)
    groups = []
    for segment in segments(case.analysis):
        tracked = seg.SegmentSequence[segment.number - 1]
        groups.append(
            sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(uid=tracked.TrackingUID, identifier=tracked.TrackingID),
                referenced_segment=sr.ReferencedSegment(
                    sop_class_uid=seg.SOPClassUID,
                    sop_instance_uid=seg.SOPInstanceUID,
                    segment_number=segment.number,
                    source_series=origin,
                ),
                finding_category=concept(segment.category),
                finding_type=concept(segment.kind),
                finding_sites=[_site(segment.laterality)],
                algorithm_id=_algorithm(case),
                measurements=_measurements(_segment_values(case, segment)),
            )
        )
    return groups


def _segment_values(case: FinishedCase, segment: Segment) -> list[Value]:
    numbers = case.analysis.measurements
    if segment.mask == "lungs":
        side = "right" if segment.value == 1 else "left"
        return [
            (VOLUME, getattr(numbers.lung_volume_ml, side), MILLILITRE),
            (INFECTED_VOLUME, getattr(numbers.infection_volume_ml, side), MILLILITRE),
            (INVOLVEMENT, getattr(numbers.involvement_percent, side), PERCENT),
        ]
    if numbers.subtype_method is None:
        return [(VOLUME, numbers.infection_volume_ml.total, MILLILITRE)]
    kind = "ground_glass" if segment.value == 1 else "consolidation"
    return [(VOLUME, getattr(numbers.infection_volume_ml, kind), MILLILITRE)]


def _lungs_group(case: FinishedCase, source: DicomSource) -> sr.MeasurementsAndQualitativeEvaluations:
    numbers = case.analysis.measurements
    values: list[Value] = [
        (VOLUME, numbers.lung_volume_ml.total, MILLILITRE),
        (INFECTED_VOLUME, numbers.infection_volume_ml.total, MILLILITRE),
        (INVOLVEMENT, numbers.involvement_percent.total, PERCENT),
        (ATTENUATION, numbers.mean_lung_hu, HOUNSFIELD),
        (ZONAL_SCORE, numbers.zonal_severity_score, NO_UNITS),
    ]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=new_uid(), identifier="Both lungs"),
        finding_type=concept(LUNG),
        finding_sites=[sr.FindingSite(concept(LUNG), laterality=concept(BOTH_SIDES))],
        algorithm_id=_algorithm(case),
        measurements=_measurements(values),
        source_images=_source_images(source),
    )


def _source_images(source: DicomSource) -> list[sr.SourceImageForMeasurementGroup]:
    return [sr.SourceImageForMeasurementGroup(one.SOPClassUID, one.SOPInstanceUID) for one in source.images]


def _zone_groups(case: FinishedCase) -> list[sr.MeasurementsAndQualitativeEvaluations]:
    return [_zone_group(case, zone) for zone in case.analysis.measurements.zones if zone.lung_ml]


def _zone_group(case: FinishedCase, zone: Zone) -> sr.MeasurementsAndQualitativeEvaluations:
    side, level = zone.name.split()
    values: list[Value] = [
        (VOLUME, zone.lung_ml, MILLILITRE),
        (INFECTED_VOLUME, zone.infection_ml, MILLILITRE),
        (INVOLVEMENT, zone.percent, PERCENT),
        (ZONE_SCORE, zone.score, NO_UNITS),
    ]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=new_uid(), identifier=f"Zone: {zone.name}"),
        finding_type=concept(LUNG),
        finding_sites=[_site(_SIDES[side], ZONES[level])],
        algorithm_id=_algorithm(case),
        measurements=_measurements(values),
    )


def _site(laterality: Code | None, where: Code = LUNG) -> sr.FindingSite:
    return sr.FindingSite(concept(where), laterality=None if laterality is None else concept(laterality))


def _measurements(values: Sequence[Value]) -> list[sr.Measurement]:
    """One item per value that is known; a number in a report has at most two digits after the point."""
    made = []
    for name, value, unit in values:
        if value is not None:
            derivation: CodedConcept | None = concept(MEAN) if name is ATTENUATION else None
            item = sr.Measurement(concept(name), round(float(value), 2), concept(unit), derivation=derivation)
            made.append(item)
    return made
