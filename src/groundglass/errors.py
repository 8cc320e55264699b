"""Every error that Groundglass raises on purpose.

```
GroundglassError                     exit 1, HTTP 500
├── InputError (ValueError)          exit 3, HTTP 422   the input cannot be used
│   ├── InputNotFoundError           HTTP 404           nothing readable at that path
│   ├── UnreadableFileError                             damaged, truncated, encrypted
│   ├── UnsupportedFormatError       HTTP 415           a format or kind of image that is not read
│   ├── UnsafeArchiveError                              zip bomb, path outside the archive
│   ├── InputTooLargeError           HTTP 413           over the limits of `Settings`
│   ├── InvalidImageError                               wrong number of axes, no finite value, ...
│   ├── InvalidGeometryError                            zero spacing, singular affine
│   ├── NotCTError                                      another modality, colour capture
│   ├── SeriesError                                     slices missing, doubled, mixed, uneven
│   ├── SeveralSeriesError                              a choice between series is needed
│   └── DatasetError                                    labelled data that cannot be used
│       └── LeakageError                                a patient or picture on both sides of a split
├── GeometryMismatchError (ValueError)  exit 3, HTTP 422   two volumes on different grids
├── OptionError (ValueError)         exit 2, HTTP 400   contradictory or impossible options
│   └── PresetError                                     a preset that does not exist or cannot be understood
├── TrainingError                                       a training run that failed
│   └── DivergedError                                   its loss is not a number any more
├── MissingExtraError (ImportError)                     a part of the package that was not installed
├── ModelError                                          the network cannot be used
│   ├── UnknownModelError (LookupError)  exit 2
│   ├── WeightsMissingError
│   └── WeightsCorruptError
│       └── UnusableModelError  exit 3, HTTP 422   a network of the user's own that cannot be used
└── OutputError (OSError)            HTTP 507           the result cannot be written
```

A message says what was found, what was expected, in which file, and what to do about it.
"""

from __future__ import annotations

from typing import ClassVar


class GroundglassError(Exception):
    """Base of every error raised on purpose.

    Attributes:
        exit_code: what the command line exits with.
        http_status: what the web application answers with.
    """

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500


class InputError(GroundglassError, ValueError):
    """The input cannot be used."""

    exit_code = 3
    http_status = 422


class InputNotFoundError(InputError):
    """Nothing readable at the given path."""

    http_status = 404


class UnreadableFileError(InputError):
    """A file is damaged, truncated, encrypted or may not be opened."""


class UnsupportedFormatError(InputError):
    """A file format, transfer syntax or kind of image that is not read."""

    http_status = 415


class UnsafeArchiveError(InputError):
    """An archive would write outside its folder or unpack to an absurd size."""


class InputTooLargeError(InputError):
    """The input is larger than the limits in `groundglass.settings.Settings`."""

    http_status = 413


class InvalidImageError(InputError):
    """Voxel data of the wrong shape or without a usable value."""


class InvalidGeometryError(InputError):
    """An affine or spacing that describes no volume."""


class NotCTError(InputError):
    """The image is not a CT (another modality, a colour capture, a report)."""


class SeriesError(InputError):
    """The slices of a DICOM series do not form one regular volume."""


class SeveralSeriesError(InputError):
    """More than one series could be meant; the message lists them."""


class DatasetError(InputError):
    """Labelled data, for training or evaluation, that cannot be used."""


class LeakageError(DatasetError):
    """The same patient, or the same picture, on both sides of a split; the message names the pair."""


class GeometryMismatchError(GroundglassError, ValueError):
    """Two volumes that should share a grid do not."""

    exit_code = 3
    http_status = 422


class OptionError(GroundglassError, ValueError):
    """Options that contradict each other or are out of range."""

    exit_code = 2
    http_status = 400


class PresetError(OptionError):
    """A preset that does not exist or cannot be understood."""


class TrainingError(GroundglassError):
    """A training run failed."""


class DivergedError(TrainingError):
    """The loss of a training run is not a finite number any more."""


class MissingExtraError(GroundglassError, ImportError):
    """An optional part of the package is not installed; the message says how to install it."""


class ModelError(GroundglassError):
    """A network cannot be used."""


class UnknownModelError(ModelError, LookupError):
    """No model of that name."""

    exit_code = 2
    http_status = 404


class WeightsMissingError(ModelError):
    """A model card without its weights file."""


class WeightsCorruptError(ModelError):
    """A weights file whose checksum differs from its card."""


class UnusableModelError(WeightsCorruptError):
    """A network of the user's own that cannot be used: damaged, no ONNX file, or made for another task."""

    exit_code = 3
    http_status = 422


class OutputError(GroundglassError, OSError):
    """The result cannot be written (full disk, read-only folder)."""

    http_status = 507
