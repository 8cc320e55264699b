"""Inputs that must be refused: how each is made, with which error, and what its message says.

The reader's tests and those of the command line run the same table.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import SimpleITK
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from groundglass.errors import (
    GroundglassError,
    InputNotFoundError,
    InputTooLargeError,
    InvalidGeometryError,
    InvalidImageError,
    NotCTError,
    SeriesError,
    SeveralSeriesError,
    UnreadableFileError,
    UnsafeArchiveError,
    UnsupportedFormatError,
)
from tests.support.dicom import MR, SECONDARY_CAPTURE, SeriesSpec, write_series

AFFINE = np.diag([1.0, 1.5, 2.0, 1.0])
_SYMLINK = 0o120777 << 16


@dataclass(frozen=True)
class BadInput:
    """One refused input.

    Attributes:
        name: of the case.
        build: makes the input in an empty folder and returns its path.
        error: what reading it raises.
        message: regular expression found in the message.
    """

    name: str
    build: Callable[[Path], Path]
    error: type[GroundglassError]
    message: str


def scan(slices: int = 12) -> NDArray[np.int16]:
    """(8, 9, slices), every slice different."""
    array = np.full((8, 9, slices), -800, np.int16)
    array[2, 3] = np.arange(slices, dtype=np.int16) * 10
    return array


def _file(name: str, data: bytes) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return build


def _nifti(
    array: NDArray[np.generic] | None = None,
    name: str = "scan.nii.gz",
    *,
    cut: int = 0,
    patch: tuple[int, bytes] = (0, b""),
) -> Callable[[Path], Path]:
    """A NIfTI file, shortened by `cut` bytes or with bytes of its unpacked header replaced."""

    def build(folder: Path) -> Path:
        image = nibabel.Nifti1Image(scan() if array is None else array, AFFINE)
        data = bytearray(image.to_bytes())
        data[patch[0] : patch[0] + len(patch[1])] = patch[1]
        packed = gzip.compress(bytes(data)) if name.endswith(".gz") else bytes(data)
        (folder / name).write_bytes(packed[: len(packed) - cut])
        return folder / name

    return build


def _series(spec: SeriesSpec | None = None, slices: int = 12) -> Callable[[Path], Path]:
    return lambda folder: write_series(folder / "series", scan(slices), AFFINE, spec)


def _zip(*members: tuple[str, bytes]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "scan.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members:
                archive.writestr(name, data)
        return folder / "scan.zip"

    return build


def _png(image: Image.Image, name: str = "slice.png", *, cut: int = 0) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        stream = io.BytesIO()
        image.save(stream, "PNG")
        (folder / name).write_bytes(stream.getvalue()[: len(stream.getvalue()) - cut])
        return folder / name

    return build


def missing_path(folder: Path) -> Path:
    return folder / "nothing_here.nii.gz"


def empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def folder_of_text(folder: Path) -> Path:
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("no image here")
    (folder / "notes" / "b.csv").write_text("1,2,3")
    return folder / "notes"


def folder_in_a_circle(folder: Path) -> Path:
    (folder / "loop" / "inner").mkdir(parents=True)
    (folder / "loop" / "inner" / "again").symlink_to(folder / "loop", target_is_directory=True)
    return folder / "loop"


def link_to_itself(folder: Path) -> Path:
    (folder / "scan.nii").symlink_to(folder / "scan.nii")
    return folder / "scan.nii"


def folder_of_volumes(folder: Path) -> Path:
    for name in ("a.nii.gz", "b.nii.gz"):
        _nifti(name=name)(folder)
    return folder


def folder_of_garbage(folder: Path) -> Path:
    (folder / "dicom").mkdir()
    for number in range(3):
        (folder / "dicom" / f"{number}.dcm").write_bytes(bytes((number * 7 + at * 31) % 251 for at in range(600)))
    return folder / "dicom"


def folders_of_pictures(folder: Path) -> Path:
    for name in ("one", "two"):
        (folder / "cases" / name).mkdir(parents=True)
        _png(Image.new("L", (64, 64)))(folder / "cases" / name)
    return folder / "cases"


def no_rescued_picture(folder: Path) -> Path:
    (folder / "pictures").mkdir()
    for name in ("a.png", "b.png"):
        _png(Image.effect_noise((64, 64), 30), name, cut=1500)(folder / "pictures")
    return folder / "pictures"


def animated_gif(folder: Path) -> Path:
    frames = [Image.new("L", (64, 64), shade) for shade in (0, 128, 255)]
    frames[0].save(folder / "slices.gif", save_all=True, append_images=frames[1:])
    return folder / "slices.gif"


def animated_png(folder: Path) -> Path:
    frames = [Image.new("L", (64, 64), shade) for shade in (0, 128, 255)]
    frames[0].save(folder / "slices.png", save_all=True, append_images=frames[1:])
    return folder / "slices.png"


def png_header_of_a_giant(folder: Path) -> Path:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (folder / "giant.png").write_bytes(data + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))
    return folder / "giant.png"


def two_series(folder: Path) -> Path:
    write_series(folder / "study" / "a", scan(), AFFINE, SeriesSpec(number=2))
    write_series(folder / "study" / "b", scan(), AFFINE, SeriesSpec(number=3))
    return folder / "study"


def two_series_in_one(folder: Path) -> Path:
    """Two reconstructions of one place with one series UID."""
    write_series(folder / "mixed", scan(), AFFINE, SeriesSpec(uid="1.2.3"))
    write_series(folder / "mixed", scan() + np.int16(200), AFFINE, SeriesSpec(uid="1.2.3", prefix="other"))
    return folder / "mixed"


def same_place_other_image(folder: Path) -> Path:
    write_series(folder / "series", scan(), AFFINE, SeriesSpec(uid="1.2.3"))
    one = scan(1) + np.int16(50)
    write_series(folder / "series", one, AFFINE, SeriesSpec(uid="1.2.3", prefix="other"))
    return folder / "series"


def truncated_dicom(folder: Path) -> Path:
    write_series(folder / "series", scan(), AFFINE)
    victim = folder / "series" / "slice_005.dcm"
    victim.write_bytes(victim.read_bytes()[:-40])
    return folder / "series"


def dicom_without_pixels(folder: Path) -> Path:
    def strip(dataset: Dataset, k: int) -> None:
        del dataset.PixelData

    return write_series(folder / "series", scan(), AFFINE, SeriesSpec(edit=strip))


def dicom_in_colour(folder: Path) -> Path:
    def colour(dataset: Dataset, k: int) -> None:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.PixelData = bytes(3 * dataset.Rows * dataset.Columns)

    tags = {"SOPClassUID": SECONDARY_CAPTURE, "Modality": "OT"}
    return write_series(folder / "capture", scan(1), AFFINE, SeriesSpec(tags=tags, edit=colour))


def dicom_in_a_video(folder: Path) -> Path:
    write_series(folder / "series", scan(1), AFFINE)
    path = next((folder / "series").iterdir())
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.MPEG4HP41
    dataset.PixelData = pydicom.encaps.encapsulate([bytes(100)])
    dataset["PixelData"].VR = "OB"
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def frames_without_places(folder: Path) -> Path:
    def repeat(dataset: Dataset, k: int) -> None:
        dataset.NumberOfFrames = 4
        dataset.PixelData = dataset.PixelData * 4

    write_series(folder / "series", scan(1), AFFINE, SeriesSpec(tags={"ImagePositionPatient": None}, edit=repeat))
    return next((folder / "series").iterdir())


def encrypted_zip(folder: Path) -> Path:
    path = _zip(("scan.nii", bytes(1000)))(folder)
    data = bytearray(path.read_bytes())
    for magic, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(magic) + flags_at] |= 1
    path.write_bytes(data)
    return path


def zip_with_a_link(folder: Path) -> Path:
    link = zipfile.ZipInfo("slice.dcm")
    link.create_system, link.external_attr = 3, _SYMLINK
    with zipfile.ZipFile(folder / "scan.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    return folder / "scan.zip"


def zip_bomb(folder: Path) -> Path:
    """One byte that claims to unpack to 4 GB."""
    with zipfile.ZipFile(folder / "scan.zip", "w") as archive:
        archive.writestr("scan.nii", b"a")
    data = bytearray((folder / "scan.zip").read_bytes())
    at = data.find(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 0xFFFF_FF00)
    (folder / "scan.zip").write_bytes(data)
    return folder / "scan.zip"


def zip_that_lies_about_its_size(folder: Path) -> Path:
    path = _zip(("scan.nii", bytes(5_000_000)))(folder)
    data = bytearray(path.read_bytes())
    for magic, size_at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.find(magic) + size_at
        data[at : at + 4] = struct.pack("<I", 100)
    path.write_bytes(data)
    return path


def vector_mha(folder: Path) -> Path:
    image = SimpleITK.Compose([SimpleITK.Image(8, 8, 8, SimpleITK.sitkUInt8)] * 3)
    SimpleITK.WriteImage(image, str(folder / "scan.mha"))
    return folder / "scan.mha"


def mhd_without_its_voxels(folder: Path) -> Path:
    SimpleITK.WriteImage(SimpleITK.Image(8, 8, 8, SimpleITK.sitkInt16), str(folder / "scan.mhd"))
    (folder / "scan.raw").unlink()
    return folder / "scan.mhd"


def truncated_nrrd(folder: Path) -> Path:
    SimpleITK.WriteImage(SimpleITK.Image(8, 8, 8, SimpleITK.sitkInt16), str(folder / "scan.nrrd"))
    data = (folder / "scan.nrrd").read_bytes()
    (folder / "scan.nrrd").write_bytes(data[:-300])
    return folder / "scan.nrrd"


def giant_mha(folder: Path) -> Path:
    SimpleITK.WriteImage(SimpleITK.Image(8, 8, 8, SimpleITK.sitkInt16), str(folder / "scan.mha"))
    data = (folder / "scan.mha").read_bytes()
    (folder / "scan.mha").write_bytes(data.replace(b"DimSize = 8 8 8", b"DimSize = 60000 60000 60000"))
    return folder / "scan.mha"


_NAN = np.full((8, 9, 10), np.nan, np.float32)
_RGB = np.zeros((8, 9, 10), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
_SINGULAR = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 2, 0]], "<f4").tobytes()
_LOCALIZER = SeriesSpec(tags={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})

BAD_INPUTS: list[BadInput] = [
    BadInput("missing path", missing_path, InputNotFoundError, "no such file or folder"),
    BadInput("empty file", _file("scan.nii.gz", b""), UnreadableFileError, "the file is empty"),
    BadInput(
        "text renamed .nii", _file("scan.nii", b"patient list\n" * 40), UnsupportedFormatError, "holds text although"
    ),
    BadInput("text renamed .dcm", _file("scan.dcm", b"hello\n" * 40), UnsupportedFormatError, "promises DICOM"),
    BadInput("unknown suffix", _file("scan.xyz", bytes(range(200))), UnsupportedFormatError, "data of an unknown kind"),
    BadInput("PDF", _file("report.pdf", b"%PDF-1.7\n\x00\x01"), UnsupportedFormatError, "a PDF document"),
    BadInput("empty folder", empty_folder, UnsupportedFormatError, "no file at all"),
    BadInput("folder of text", folder_of_text, UnsupportedFormatError, "2 files, no image among them"),
    BadInput("folder in a circle", folder_in_a_circle, UnsupportedFormatError, "no file at all"),
    BadInput("link to itself", link_to_itself, InputNotFoundError, "no such file or folder"),
    BadInput("folder of volumes", folder_of_volumes, UnsupportedFormatError, r"2 volumes \(a.nii.gz, b.nii.gz\)"),
    BadInput("folder of garbage", folder_of_garbage, UnreadableFileError, "3 files could not be read as images"),
    BadInput("truncated gzip", _nifti(cut=60), UnreadableFileError, "damaged or truncated"),
    BadInput(
        "gzip cut off at its start", _file("a.nii.gz", gzip.compress(bytes(99))[:12]), UnreadableFileError, "cut off"
    ),
    BadInput(
        "gzip of something else", _file("a.nii.gz", gzip.compress(b"x" * 999)), UnsupportedFormatError, "gzip file"
    ),
    BadInput("truncated NIfTI", _nifti(name="a.nii", cut=60), UnreadableFileError, "its header promises 1,728"),
    BadInput("NIfTI header only", _file("a.nii", b"\x5c\x01\0\0" + bytes(400)), UnsupportedFormatError, "Analyze 7.5"),
    BadInput("2D NIfTI", _nifti(np.zeros((64, 64), np.int16)), InvalidImageError, r"2 axes \(64x64\)"),
    BadInput("4D NIfTI", _nifti(np.zeros((8, 9, 10, 3), np.int16)), InvalidImageError, "several frames or channels"),
    BadInput("5D NIfTI", _nifti(np.zeros((8, 9, 10, 1, 3), np.int16)), InvalidImageError, "5 axes"),
    BadInput("all NaN", _nifti(_NAN), InvalidImageError, "every voxel is NaN"),
    BadInput("colour NIfTI", _nifti(_RGB), NotCTError, "the voxels are colours"),
    BadInput("complex NIfTI", _nifti(np.zeros((8, 9, 10), np.complex64)), InvalidImageError, "type complex64"),
    BadInput("unknown voxel type", _nifti(patch=(70, b"\x31\x03")), UnreadableFileError, "unknown voxel type"),
    BadInput(
        "zero spacing",
        _nifti(patch=(80, bytes(4) + b"\0" * 168 + bytes(4))),
        InvalidGeometryError,
        r"spacing is \[0\.0",
    ),
    BadInput("singular affine", _nifti(patch=(280, _SINGULAR)), InvalidGeometryError, "singular"),
    BadInput("NaN in the affine", _nifti(patch=(280, b"\0\0\xc0\x7f")), InvalidGeometryError, "not finite"),
    BadInput("absurd NIfTI size", _nifti(patch=(42, b"\xff\x7f" * 3)), InputTooLargeError, "32767x32767x32767"),
    BadInput("negative NIfTI size", _nifti(patch=(42, b"\xfe\xff")), InvalidImageError, "at least one voxel"),
    BadInput("vector MHA", vector_mha, NotCTError, "3 channels"),
    BadInput("MHD without voxels", mhd_without_its_voxels, InputNotFoundError, "missing"),
    BadInput("truncated NRRD", truncated_nrrd, UnreadableFileError, "scan.nrrd"),
    BadInput("absurd MHA size", giant_mha, InputTooLargeError, "60000x60000x60000"),
    BadInput("DICOM without pixels", dicom_without_pixels, InvalidImageError, "no pixel data"),
    BadInput("truncated DICOM", truncated_dicom, UnreadableFileError, r"slice_005\.dcm: the DICOM file is damaged"),
    BadInput("DICOM video", dicom_in_a_video, UnsupportedFormatError, "packed as MPEG-4"),
    BadInput(
        "MR", _series(SeriesSpec(tags={"Modality": "MR", "SOPClassUID": MR})), NotCTError, r"only: MR \(12 images\)"
    ),
    BadInput("colour capture", dicom_in_colour, NotCTError, r"only: OT \(1 image\)"),
    BadInput(
        "screenshot", _series(SeriesSpec(tags={"SOPClassUID": SECONDARY_CAPTURE})), NotCTError, "secondary capture"
    ),
    BadInput("localizer only", _series(_LOCALIZER, slices=1), NotCTError, r"only: localizer \(1 image\)"),
    BadInput("two series", two_series, SeveralSeriesError, "--series NUMBER"),
    BadInput("mixed series", two_series_in_one, SeriesError, "two different images at the same place"),
    BadInput("duplicate slice", same_place_other_image, SeriesError, r"0\.00 mm"),
    BadInput("missing slice", _series(SeriesSpec(skip={5})), SeriesError, r"1 slice missing.*--allow-irregular"),
    BadInput(
        "no position",
        _series(SeriesSpec(tags={"ImagePositionPatient": None})),
        SeriesError,
        r"ImagePositionPatient \(0020,0032\)",
    ),
    BadInput(
        "no orientation", _series(SeriesSpec(tags={"ImageOrientationPatient": None})), SeriesError, r"\(0020,0037\)"
    ),
    BadInput(
        "no spacing", _series(SeriesSpec(tags={"PixelSpacing": None})), SeriesError, r"PixelSpacing \(0028,0030\)"
    ),
    BadInput(
        "zero DICOM spacing", _series(SeriesSpec(tags={"PixelSpacing": ["0", "0"]})), InvalidGeometryError, "spacing is"
    ),
    BadInput("frames without places", frames_without_places, SeriesError, "ImagePositionPatient"),
    BadInput("encrypted zip", encrypted_zip, UnreadableFileError, "encrypted"),
    BadInput("zip bomb", zip_bomb, UnsafeArchiveError, "times its size"),
    BadInput("zip that lies", zip_that_lies_about_its_size, UnreadableFileError, "damaged or truncated"),
    BadInput("path out of a zip", _zip(("../escaped.dcm", b"x")), UnsafeArchiveError, "outside its folder"),
    BadInput("absolute path in a zip", _zip(("/tmp/escaped.dcm", b"x")), UnsafeArchiveError, "outside its folder"),
    BadInput("link in a zip", zip_with_a_link, UnsafeArchiveError, "holds a link"),
    BadInput(
        "damaged zip", _file("scan.zip", b"PK\x03\x04" + bytes(200)), UnreadableFileError, "ZIP archive is damaged"
    ),
    BadInput("empty zip", _zip(), UnreadableFileError, "no file in the archive"),
    BadInput("zip of text", _zip(("a.txt", b"hello")), UnsupportedFormatError, "1 file, no image among them"),
    BadInput(
        "zip in a zip", _zip(("inner.zip", b"PK\x05\x06" + bytes(18))), UnreadableFileError, "no file in the archive"
    ),
    BadInput(
        "truncated PNG", _png(Image.effect_noise((64, 64), 30), cut=1500), UnreadableFileError, "picture is damaged"
    ),
    BadInput("no readable picture", no_rescued_picture, UnreadableFileError, "a.png"),
    BadInput("animated GIF", animated_gif, UnsupportedFormatError, "a GIF picture"),
    BadInput("animated PNG", animated_png, UnsupportedFormatError, "animated or multi-frame"),
    BadInput("tiny picture", _png(Image.new("L", (20, 40))), InvalidImageError, "20x40 pixels"),
    BadInput("giant PNG header", png_header_of_a_giant, InputTooLargeError, "178 million"),
    BadInput("pictures in two folders", folders_of_pictures, UnsupportedFormatError, r"2 folders \(one, two\)"),
]
