"""How an image file says that it is to be turned: the one place that answers for sizes and for pixels."""

from __future__ import annotations

from pathlib import Path

from PIL import ExifTags, Image

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PNG_METADATA = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")  # where Pillow looks for it
_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF orientations that exchange width and height


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or, as in viewers, where it cannot be read."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged metadata raise errors of any type and leave the picture intact
        return 1
    return value if isinstance(value, int) else 1


def turned(pixels: Image.Image, orientation: int) -> Image.Image:
    """Decoded pixels as a viewer shows those of an EXIF orientation."""
    turn = _UPRIGHT.get(orientation)
    return pixels if turn is None else pixels.transpose(turn)


def upright_size(image: Image.Image, path: Path) -> tuple[int, int]:
    """Height and width (H, W) that an opened image file, not decoded yet, has as a viewer shows it."""
    width, height = image.size
    on_its_side = stated_turn(image, path) in _ON_ITS_SIDE
    if image.format == "TIFF" and ExifTags.Base.Orientation in getattr(image, "tag_v2", ()):
        on_its_side = False  # Pillow's size of it is upright already
    return (width, height) if on_its_side else (height, width)


def stated_turn(image: Image.Image, path: Path) -> int:
    """The orientation of an opened image file, not decoded yet."""
    if image.format == "PNG" and not _png_may_be_turned(image, path):
        return 1  # asked for its metadata, a PNG would be decoded
    return orientation(image)


def _png_may_be_turned(image: Image.Image, path: Path) -> bool:
    """Whether an orientation may stand in a PNG file: in what was read, or behind the pixels (IDAT)."""
    if any(key in image.info for key in _PNG_METADATA):
        return True
    with path.open("rb") as file:
        position, in_pixels = 8, False
        while True:
            file.seek(position)
            length, kind = file.read(4), file.read(4)
            if len(kind) < 4:
                return False
            in_pixels = in_pixels or kind == b"IDAT"
            if in_pixels and kind in (b"eXIf", b"iTXt", b"zTXt", b"tEXt"):
                return True
            position += 12 + int.from_bytes(length, "big")  # length, kind, data, checksum
