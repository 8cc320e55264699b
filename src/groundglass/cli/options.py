"""Options of the commands that train and score networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path,
    typer.Option(
        "--data",
        "-d",
        help="Labelled data: a folder with slices.csv, ct/, lung/ and infection/; a folder with ct_scans/, "
        "lung_mask/ and infection_mask/ (NIfTI); a CSV file of image, lungs and infection; or a folder of label maps.",
    ),
]
ScoredData = Annotated[
    Path,
    typer.Option(
        "--data",
        "-d",
        help="Labelled scans: a folder with slices.csv, ct/, lung/ and infection/; a folder with ct_scans/, lung_mask/ "
        "and infection_mask/ (NIfTI); a CSV file of image, lungs and infection; or a folder of label maps. Or labelled "
        "slices: folders named after classes (COVID, NonCOVID, ...), images.csv, or volumes.csv.",
    ),
]
EvaluationFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder for page, tables, figures and record.")]
ScoredModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Shipped model, finished run, or .onnx file with its card beside it. For labelled slices: a finished run "
        "of a classifier preset; needs groundglass[train].",
    ),
]
ScoredPart = Annotated[
    str | None,
    typer.Option("--split", help="Labelled slices: score one part of the data only: train, val or test."),
]
Predictions = Annotated[
    Path | None,
    typer.Option("--predictions", "-p", help="Score the masks in this folder instead of a model's; any tool's."),
]
ScoredFolds = Annotated[str | None, typer.Option("--folds", help="Folds of the data to score, such as 0,1.")]
ValidationData = Annotated[
    Path | None, typer.Option("--validation", help="Labelled data of other patients, to choose the thresholds on.")
]
ThresholdFolds = Annotated[
    str | None, typer.Option("--validation-folds", help="Folds of the data to choose the thresholds on.")
]
ThresholdValues = Annotated[
    list[str] | None, typer.Option("--threshold", help="NAME=VALUE, such as infection=0.4; may be repeated.")
]
Structures = Annotated[
    list[str] | None, typer.Option("--structure", help="lungs or infection; all that there are by default.")
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", help="With --predictions: a label alone, such as 'right lung=1'; may be repeated."),
]
PostProcess = Annotated[
    bool, typer.Option("--post-process", help="Clean lungs and infection as analyze does before scoring.")
]
Surfaces = Annotated[
    bool,
    typer.Option(
        "--surfaces/--no-surfaces", help="NSD and HD95 where the spacing is known; without, in half the time."
    ),
]
SameVoxels = Annotated[
    bool, typer.Option("--same-voxels", help="Compare scans voxel by voxel, whatever their headers say.")
]
IncludeLearned = Annotated[
    bool,
    typer.Option(
        "--include-learned", help="Also score volumes, or slices, that the network learned from, marked as such."
    ),
]
BootstrapSeed = Annotated[int, typer.Option(help="Of the bootstrap.")]

PresetName = Annotated[str, typer.Argument(metavar="PRESET", help="Name of a preset, or the path of a .toml file.")]
TrainingData = Annotated[
    Path | None, typer.Option("--data", help="Folder of the training data (see docs/training.md).")
]
RunFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder of the run; a run in it is resumed.")]
PresetChanges = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another value of the preset, such as smote=true or loss.name=focal; may be repeated.",
    ),
]
ShowPreset = Annotated[
    bool, typer.Option("--show-preset", help="Print the file of the preset, to copy and change, and stop.")
]
LearnedFolds = Annotated[
    list[int] | None, typer.Option("--fold", help="Fold to learn from; repeat for several. Default: all.")
]
ValidatedFolds = Annotated[
    list[int] | None, typer.Option("--validation-fold", help="Fold to validate on; repeat for several.")
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Epochs, instead of the preset's.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps, instead of the preset's.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Slices per step.")]
Rate = Annotated[float | None, typer.Option(help="Peak learning rate.")]
ComputePrecision = Annotated[str | None, typer.Option(help="auto, bf16, fp16 (GPU) or fp32.")]
TrainingSeed = Annotated[int, typer.Option(help="Source of chance; the same seed gives the same run.")]
Start = Annotated[
    Path | None,
    typer.Option(
        help="What to start from (transfer learning): a shipped model (lungs-infection), an .onnx file with its card, "
        "a checkpoint, or the folder of a run."
    ),
]
FreezeEncoder = Annotated[
    int | None, typer.Option("--freeze-encoder", min=0, help="Epochs in which the encoder does not learn.")
]
Devices = Annotated[int, typer.Option(min=1, help="GPUs, or processes on a CPU, of each computer.")]
Nodes = Annotated[int, typer.Option(min=1, help="Computers.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 lets torch choose.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes that prepare slices.")]
Cache = Annotated[Path | None, typer.Option(help="Folder of prepared slices, shared by runs.")]
Resume = Annotated[bool, typer.Option(help="Go on with the run in the output folder.")]
ShowSamples = Annotated[
    Path | None, typer.Option("--show-samples", help="Draw slices before and after every step to this PNG, only.")
]
