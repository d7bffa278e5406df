"""Text on arrays: drawn once by Pillow, then kept and copied in."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ferkeras.errors import InputError

#: Texts that one `Lettering` keeps; a video shows the same hundred or so, in two sizes.
KEPT = 2048
Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)


class Lettering:
    """Text of one size, white or coloured. Large letters have a black outline; small ones it would clog.

    The font is the one inside Pillow: Latin letters, digits and punctuation.

    Args:
        size: Height of the letters with ascenders and descenders, in pixels, before the outline.

    Attributes:
        height: Of a line, in pixels.
        width: The function that tells how wide a text is, in pixels.

    Raises:
        InputError: for a Pillow that was built without FreeType, whose only font has one size.
    """

    def __init__(self, size: int) -> None:
        font = ImageFont.load_default(size)
        if not isinstance(font, ImageFont.FreeTypeFont):
            raise InputError(
                "Letters of any size need Pillow with FreeType",
                received=type(font).__name__,
                action="Install Pillow from a wheel, which has it.",
            )
        self._font = font
        self._outline = size // 14
        ascent, descent = self._font.getmetrics()
        self.height = ascent + descent + 2 * self._outline
        self._sprite = lru_cache(KEPT)(self._draw)
        self.width = lru_cache(KEPT)(self._width)

    def _width(self, text: str) -> int:
        return int(self._font.getlength(text)) + 2 * self._outline + 1

    def write(self, canvas: np.ndarray, text: str, x: int, y: int, colour: Colour = WHITE) -> None:
        """Puts the text with its upper left corner at `x`, `y` on (H, W, 3) uint8; what lies outside is cut off."""
        paint, ground = self._sprite(text, colour)
        height, width = paint.shape[:2]
        top, left, bottom, right = max(y, 0), max(x, 0), min(y + height, len(canvas)), min(x + width, canvas.shape[1])
        if top >= bottom or left >= right:
            return
        inside = np.s_[top - y : bottom - y, left - x : right - x]
        area = canvas[top:bottom, left:right]
        area[...] = paint[inside] + (area * ground[inside] >> 8)

    def _draw(self, text: str, colour: Colour) -> tuple[np.ndarray, np.ndarray]:
        """The letters, already weighted, (h, w, 3) uint8, and the weight of what is below, (h, w, 1) uint16 in 256."""
        image = Image.new("RGBA", (self.width(text), self.height))
        place = (self._outline, self._outline)
        pen = ImageDraw.Draw(image)
        pen.text(place, text, fill=colour, font=self._font, stroke_width=self._outline, stroke_fill=(0, 0, 0))
        pixels = np.asarray(image).astype(np.uint16)
        alpha = pixels[..., 3:]
        return (pixels[..., :3] * alpha // 255).astype(np.uint8), np.where(alpha == 0, 256, 255 - alpha)


def shade(canvas: np.ndarray, x: int, y: int, width: int, height: int, *, share: float = 0.3) -> None:
    """Darkens a rectangle of (H, W, 3) uint8 to `share` of its light; what lies outside is cut off."""
    area = canvas[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    area[...] = area * np.uint16(256 * share) >> 8
