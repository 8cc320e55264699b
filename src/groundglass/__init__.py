"""Groundglass: lungs, infection and involvement from a chest CT, offline, in seconds, on a CPU.

```python
import groundglass as gg

result = gg.analyze("scan.nii.gz")  # path, nibabel image, SimpleITK image, or numpy array with spacing
print(result.measurements.involvement_percent.total)
result.save("out/")
```
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Each public name and the module it comes from, so that `import groundglass` stays quick.
_EXPORTS = {
    "Analysis": "groundglass.analysis",
    "AnalysisOptions": "groundglass.options",
    "AnalysisResult": "groundglass.result",
    "Analyzed": "groundglass.analyzer",
    "Analyzer": "groundglass.analyzer",
    "CTVolume": "groundglass.volume",
    "Finding": "groundglass.finding",
    "Geometry": "groundglass.geometry",
    "GroundglassError": "groundglass.errors",
    "Heatmap": "groundglass.volume",
    "InputError": "groundglass.errors",
    "LabelMap": "groundglass.volume",
    "PictureResult": "groundglass.result",
    "PictureSet": "groundglass.volume",
    "Settings": "groundglass.settings",
    "Slice2D": "groundglass.volume",
    "analyze": "groundglass.pipeline",
    "doctor": "groundglass.pipeline",
    "make_chest": "groundglass.phantom",
    "read": "groundglass.pipeline",
}

__all__ = [
    "Analysis",
    "AnalysisOptions",
    "AnalysisResult",
    "Analyzed",
    "Analyzer",
    "CTVolume",
    "Finding",
    "Geometry",
    "GroundglassError",
    "Heatmap",
    "InputError",
    "LabelMap",
    "PictureResult",
    "PictureSet",
    "Settings",
    "Slice2D",
    "__version__",
    "analyze",
    "doctor",
    "make_chest",
    "read",
]

if TYPE_CHECKING:
    from groundglass.analysis import Analysis as Analysis
    from groundglass.analyzer import Analyzed as Analyzed
    from groundglass.analyzer import Analyzer as Analyzer
    from groundglass.errors import GroundglassError as GroundglassError
    from groundglass.errors import InputError as InputError
    from groundglass.finding import Finding as Finding
    from groundglass.geometry import Geometry as Geometry
    from groundglass.options import AnalysisOptions as AnalysisOptions
    from groundglass.phantom import make_chest as make_chest
    from groundglass.pipeline import analyze as analyze
    from groundglass.pipeline import doctor as doctor
    from groundglass.pipeline import read as read
    from groundglass.result import AnalysisResult as AnalysisResult
    from groundglass.result import PictureResult as PictureResult
    from groundglass.settings import Settings as Settings
    from groundglass.volume import CTVolume as CTVolume
    from groundglass.volume import Heatmap as Heatmap
    from groundglass.volume import LabelMap as LabelMap
    from groundglass.volume import PictureSet as PictureSet
    from groundglass.volume import Slice2D as Slice2D


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attributes have many types
    """Import a public name when it is first used."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'groundglass' has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
