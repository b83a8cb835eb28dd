"""Image files that anybody may have made, as numbers: bounded by their headers, and upright."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from kdcore.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

FORMATS: Final = ("PNG", "JPEG", "BMP", "WEBP", "GIF")
MAX_PIXELS: Final = 2**26
"""Of one image as it lies in its file, told by its header before anything is decoded."""
_SHOWN: Final = 120
_THUMBNAIL: Final = 96
_WIDE: Final = ("I;16", "I;16B", "I;16L", "I;16N")

Fit = Literal["stretch", "crop"]


@dataclass(frozen=True, slots=True)
class Frame:
    """What every image is brought to."""

    channels: int
    height: int
    width: int
    fit: Fit = "stretch"


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image, brought to its frame."""

    values: NDArray[np.uint8]
    """`(channels, height, width)`."""
    size: tuple[int, int]
    """Height and width in its file, upright."""


def decoded(content: bytes, frame: Frame) -> Decoded:
    """Return what an image file shows.

    It is turned as its EXIF orientation says; of an animation it is the first frame; what is
    transparent becomes white; 16 bits become the upper 8.

    Raises:
        DataError: it is none of the formats, too large, or broken; the message names no file.
    """
    import numpy as np
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of sizes and of EXIF: both are looked at here
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                _check_size(image)
                upright = ImageOps.exif_transpose(image)
                plain = _plain(upright, frame.channels)
        except DataError:
            raise
        except Image.UnidentifiedImageError:
            raise DataError(f"is no image in {', '.join(FORMATS)}") from None
        except Image.DecompressionBombError:
            raise DataError(f"has far more than {MAX_PIXELS:,} pixels") from None
        except Exception as error:  # noqa: BLE001  # decoders raise anything on broken files
            told = str(error) or type(error).__name__
            raise DataError(f"is broken ({told[:_SHOWN]})") from None
    size, own = (frame.width, frame.height), (plain.height, plain.width)
    if plain.size != size:
        # Pillow's bilinear filter widens with the reduction: what is made smaller is averaged.
        if frame.fit == "crop":
            plain = ImageOps.fit(plain, size, method=Image.Resampling.BILINEAR)
        else:
            plain = plain.resize(size, Image.Resampling.BILINEAR)
    values: NDArray[np.uint8] = np.asarray(plain, dtype=np.uint8)
    return Decoded(values[None] if frame.channels == 1 else values.transpose(2, 0, 1), own)


def thumbnail(values: NDArray[np.uint8]) -> str:
    """Return an image `(1 or 3, H, W)` as a small PNG in base64."""
    from PIL import Image

    image = Image.fromarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0))
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    content = io.BytesIO()
    image.save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise DataError(
            f"has {image.width:,} x {image.height:,} pixels; expected at most {MAX_PIXELS:,}"
        )


def _plain(image: Image.Image, channels: int) -> Image.Image:
    """Return the image in grey or in colour, decoded."""
    import numpy as np
    from PIL import Image

    image.load()
    if image.mode in _WIDE:
        upper: Any = np.asarray(image).astype(np.uint16) >> 8
        image = Image.fromarray(upper.astype(np.uint8))
    elif image.mode in {"I", "F"}:
        raise DataError(f"has numbers of 32 bits (mode {image.mode}); expected 8 or 16")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)
