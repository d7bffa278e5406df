"""Where panels go in a picture: beside what they belong to, inside the picture, on nothing else."""

from collections.abc import Iterable
from typing import NamedTuple


class Area(NamedTuple):
    """A rectangle in whole pixels."""

    x: int
    y: int
    width: int
    height: int

    def overlap(self, others: Iterable["Area"]) -> int:
        """Pixels shared with the others, counted for each."""
        shared = 0
        for other in others:
            width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
            height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
            shared += max(width, 0) * max(height, 0)
        return shared


def within(area: Area, width: int, height: int) -> Area:
    """The area moved into a picture of this size, as far as it fits."""
    x, y = min(area.x, width - area.width), min(area.y, height - area.height)
    return area._replace(x=max(x, 0), y=max(y, 0))


def beside(box: Area, width: int, height: int, *, gap: int, head: int) -> dict[str, Area]:
    """Areas of a size on the four sides of a box, and, for a face that fills the picture, in its lower corners.

    `head` are the pixels above the box that its caption takes.
    """
    bottom = box.y + box.height - gap - height
    return {
        "right": Area(box.x + box.width + gap, box.y, width, height),
        "left": Area(box.x - gap - width, box.y, width, height),
        "below": Area(box.x, box.y + box.height + gap, width, height),
        "above": Area(box.x, box.y - head - height, width, height),
        "inside right": Area(box.x + box.width - gap - width, bottom, width, height),
        "inside left": Area(box.x + gap, bottom, width, height),
    }


def corners(picture: tuple[int, int], side: int, *, gap: int) -> dict[str, Area]:
    """Squares in the corners of a picture of (H, W)."""
    height, width = picture
    right, bottom = width - side - gap, height - side - gap
    return {
        "bottom right": Area(right, bottom, side, side),
        "bottom left": Area(gap, bottom, side, side),
        "top right": Area(right, gap, side, side),
        "top left": Area(gap, gap, side, side),
    }
