"""A finished analysis in the formats of other programs: DICOM, PDF, surfaces, tables."""
