"""Folders of slices and masks as pictures, with a CSV file that says which slice is whose."""

from __future__ import annotations

from pathlib import Path

from groundglass.errors import DatasetError
from groundglass.evaluation.pictures import DrawnSlice, DrawnVolume, drawn_volumes
from groundglass.evaluation.planes import read_plane
from groundglass.training.sample import CHANNELS, Sample
from groundglass.training.sources.volume import LabelledVolume, labelled_sample, read_drawn


def picture_volumes(folder: Path) -> list[LabelledVolume]:
    """The volumes of a folder of pictures, see `groundglass.evaluation.pictures`.

    Raises:
        DatasetError: Columns are missing, a volume has two patients or folds, or a slice or all of its masks are
            missing.
    """
    return [_labelled(folder, volume) for volume in drawn_volumes(folder)]


def _labelled(folder: Path, volume: DrawnVolume) -> LabelledVolume:
    for one in volume.slices:
        if not one.image.is_file():
            raise DatasetError(
                f"the slice {one.image.name} is in none of {folder}/{{ct,images}} and {folder}; see its CSV file"
            )
        if not one.masks:
            raise DatasetError(
                f"the slice {one.image} has no mask in {folder}/{{lung,infection}}; expected at least one"
            )

    def load() -> list[Sample]:
        return [_sample(one, volume.name) for one in volume.slices]

    every = tuple(path for one in volume.slices for path in (one.image, *one.masks.values()))
    images = tuple(one.image for one in volume.slices)
    return LabelledVolume(volume.name, volume.patient, volume.fold, "pictures", every, load, images=images)


def _sample(one: DrawnSlice, group: str) -> Sample:
    image, kind = read_plane(one.image)
    masks = {
        index: read_drawn(one.masks[name], image.shape) for index, name in enumerate(CHANNELS) if name in one.masks
    }
    return labelled_sample(one.image.name, group, image, kind, masks)
