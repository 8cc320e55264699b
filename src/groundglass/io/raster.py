"""PNG and JPEG pictures of CT slices: grey values without Hounsfield units and without millimetres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from groundglass.errors import InputError, InputTooLargeError, InvalidImageError, UnsupportedFormatError
from groundglass.finding import Finding
from groundglass.io.border import border, counted, no_warnings
from groundglass.io.folder import natural_order
from groundglass.io.options import ReadOptions
from groundglass.volume import PictureSet, Slice2D

FORMATS = ("PNG", "JPEG")
"""Photographs of two views (MPO) open as JPEG."""
_KIND = "picture"
_SMALLEST = 32
_MOST_PIXELS = 64_000_000
_COLOUR_DIFFERENCE = 48
_COLOUR_SHARE = 0.002
_GREY = {"1", "L", "I", "I;16", "I;16B", "I;16L"}

NO_HU = Finding(
    code="no-hu",
    severity="info",
    text="A picture has no Hounsfield units and no millimetres: volumes and densities are unknown, "
    "shares of the visible lung and kinds of opacity are the network's estimates.",
    action="Use the DICOM or NIfTI scan where there is one.",
)


def read_picture(path: Path, options: ReadOptions) -> PictureSet:
    """One picture as a set.

    Args:
        path: PNG or JPEG.
        options: case name and progress.

    Raises:
        UnreadableFileError: damaged or truncated.
        InputTooLargeError: absurdly large, refused before it is decoded.
        InvalidImageError: smaller than a slice can be.
        UnsupportedFormatError: animated.
    """
    options.progress("read", 0, 1)
    picture = read_slice(path)
    options.progress("read", 1, 1)
    return PictureSet(options.case, (picture,), (NO_HU,))


def read_pictures(paths: list[Path], options: ReadOptions, findings: tuple[Finding, ...] = ()) -> PictureSet:
    """All pictures of a folder in natural order; unreadable ones are left out and named.

    Args:
        paths: PNG and JPEG files.
        options: case name and progress.
        findings: remarks made so far.

    Raises:
        InputError: the error of the first picture, if none can be read.
    """
    slices: list[Slice2D] = []
    failed: list[tuple[Path, InputError]] = []
    for done, path in enumerate(sorted(paths, key=natural_order)):
        options.progress("read", done, len(paths))
        try:
            slices.append(read_slice(path))
        except InputError as error:
            failed.append((path, error))
    options.progress("read", len(paths), len(paths))
    if not slices:
        raise failed[0][1]
    if failed:
        findings = (*findings, _left_out([path.name for path, _ in failed]))
    return PictureSet(options.case, tuple(slices), (NO_HU, *findings))


def read_slice(path: Path, *, formats: tuple[str, ...] = FORMATS) -> Slice2D:
    """Decode one picture to 8-bit grey, upright.

    Args:
        path: the picture.
        formats: what it may be, as Pillow names them.

    Raises:
        InputError: see `read_picture`.
    """
    with no_warnings():
        with border(path, _KIND, Image.DecompressionBombError):
            try:
                opened = Image.open(path, formats=formats)
            except Image.DecompressionBombError:
                raise _too_large(path, "more than 178 million") from None
        with opened as image:
            _require_one_sensible_picture(image, path)
            with border(path, _KIND):
                image.load()
                upright = ImageOps.exif_transpose(image)
                pixels, findings = _grey(upright)
    return Slice2D(pixels, path.name, findings)


def _require_one_sensible_picture(image: Image.Image, path: Path) -> None:
    width, height = image.size
    if getattr(image, "n_frames", 1) > 1:
        raise UnsupportedFormatError(f"{path.name}: an animated or multi-frame picture; expected one slice per file")
    if width * height > _MOST_PIXELS:
        raise _too_large(path, f"{width}x{height} = {width * height:,}")
    if min(width, height) < _SMALLEST:
        raise InvalidImageError(
            f"{path.name}: the picture has {width}x{height} pixels; expected at least {_SMALLEST}x{_SMALLEST}"
        )


def _too_large(path: Path, pixels: str) -> InputTooLargeError:
    return InputTooLargeError(
        f"{path.name}: the picture has {pixels} pixels; at most {_MOST_PIXELS:,} are decoded; export it smaller"
    )


def _grey(image: Image.Image) -> tuple[NDArray[np.uint8], tuple[Finding, ...]]:
    if image.mode == "1":
        image = image.convert("L")
    if image.mode in _GREY or image.mode == "F":
        array = np.asarray(image)
        return (array.copy(), ()) if array.dtype == np.uint8 else _eight_bits(array)
    colours = np.asarray(_opaque(image))
    spread = colours.max(axis=2).astype(np.int16) - colours.min(axis=2)
    if not spread.any():
        return np.ascontiguousarray(colours[:, :, 0]), ()
    grey = np.asarray(_opaque(image).convert("L")).copy()
    share = float(np.mean(spread > _COLOUR_DIFFERENCE))
    return grey, (_coloured(share),) if share > _COLOUR_SHARE else ()


def _opaque(image: Image.Image) -> Image.Image:
    """RGB; transparent parts over black, as a CT is shown."""
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        coloured = image.convert("RGBA")
        black = Image.new("RGBA", coloured.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, coloured).convert("RGB")
    return image.convert("RGB")


def _eight_bits(array: NDArray[np.generic]) -> tuple[NDArray[np.uint8], tuple[Finding, ...]]:
    values = array.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255.0 / max(high - low, 1.0)) + 0.5
    text = f"The picture has 16 bits per pixel; its values {low:.0f} to {high:.0f} were scaled to 0 to 255."
    return scaled.astype(np.uint8), (Finding(code="scaled-16-bit", severity="info", text=text),)


def _coloured(share: float) -> Finding:
    return Finding(
        code="coloured-picture",
        severity="warning",
        text=f"{100 * share:.1f} % of the picture is coloured (arrows, an overlay, a screenshot?); it was turned to "
        "grey, and marks may be taken for disease.",
        action="Use the picture without marks.",
    )


def _left_out(names: list[str]) -> Finding:
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return Finding(
        code="pictures-left-out",
        severity="warning",
        text=f"{counted(len(names), 'picture')} could not be read; left out: {shown}.",
        action="Check these files.",
    )
