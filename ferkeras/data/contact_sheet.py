"""A data set at one look: a PNG with a line of examples for each class, and below them duplicates across splits."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ferkeras.data.report import UNLABELLED, Item, Report, StillItem
from ferkeras.errors import InputError
from ferkeras.files import staged

#: Height of a picture in pixels.
TILE = 96
#: Frames shown of a clip.
FRAMES = 5

_GAP = 6
_TITLE, _CAPTION = 17, 10
_MOST_WIDE = 3 * TILE


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture (H, W, C) uint8 with a short text below it."""

    picture: np.ndarray
    caption: str


@dataclass(frozen=True, eq=False)
class Row:
    """A line of the sheet: a title above pictures."""

    title: str
    tiles: tuple[Tile, ...]


def contact_sheet(rows: Sequence[Row]) -> np.ndarray:
    """The lines below each other as one picture (H, W, 3) uint8, white around them.

    Raises:
        InputError: if there is no line.
    """
    if not rows:
        raise InputError("A contact sheet needs at least one line", received="none")
    title, caption = _font(_TITLE), _font(_CAPTION)
    lines = [[(shrink(tile.picture), tile.caption) for tile in row.tiles] for row in rows]
    title_height, caption_height = _TITLE + _GAP, _CAPTION + _GAP
    widths = [sum(picture.shape[1] + _GAP for picture, _ in line) for line in lines]
    widths += [int(title.getlength(row.title)) for row in rows]
    line_height = title_height + TILE + caption_height
    sheet = Image.new("RGB", (max(widths) + 2 * _GAP, len(rows) * line_height + 2 * _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (row, line) in enumerate(zip(rows, lines, strict=True)):
        top, left = _GAP + number * line_height, _GAP
        draw.text((left, top), row.title, fill="black", font=title)
        for picture, text in line:
            sheet.paste(Image.fromarray(picture), (left, top + title_height))
            below = (left, top + title_height + TILE + 2)
            draw.text(below, _fitting(text, picture.shape[1], caption), fill="dimgray", font=caption)
            left += picture.shape[1] + _GAP
    return np.asarray(sheet)


def write_contact_sheet(rows: Sequence[Row], path: Path) -> None:
    """`contact_sheet` as a PNG file, written whole or not at all; raises what that raises."""
    if path.suffix.lower() != ".png":
        raise InputError("A contact sheet is written as a .png file", received=str(path))
    sheet = contact_sheet(rows)
    with staged(path) as unfinished:
        Image.fromarray(sheet).save(unfinished)


def data_set_rows(
    splits: Mapping[str, Iterable[Item | StillItem]],
    *,
    class_names: Sequence[str],
    report: Report | None = None,
    per_class: int = 10,
    groups: int = 5,
    seed: int = 0,
) -> list[Row]:
    """The lines for a prepared data set, read once as a stream; only what is shown stays in memory.

    Args:
        splits: For each split, its images or clips, as for `ferkeras.data.report.make_report`.
        class_names: K names.
        report: Where the duplicates across splits come from; None leaves them out.
        per_class: Examples of a class; a third of it for clips, of which five frames are shown.
        groups: Most groups of duplicates that are shown, two members of each.
        seed: Chooses the examples, which do not depend on the order of reading.

    Returns:
        A line for each class that has examples, one for those without a label, and one each for exact and near
        duplicates across splits, where there are any.
    """
    pairs = _pairs_across_splits(report, groups) if report else {}
    wanted = {place for found in pairs.values() for pair in found for place in pair}
    drawn: dict[str, list[tuple[bytes, Tile]]] = {name: [] for name in (*class_names, UNLABELLED)}
    counts = dict.fromkeys(drawn, 0)
    kept: dict[tuple[str, str], Tile] = {}
    for split, items in splits.items():
        for item in (Item(*values) for values in items):
            name = UNLABELLED if item.label is None else class_names[item.label]
            most = per_class if item.pixels.ndim < 4 else -(-per_class // 3)
            counts[name] += 1
            lot, lots = hashlib.sha256(f"{seed} {split} {item.id}".encode()).digest(), drawn[name]
            if len(lots) < most or lot < lots[-1][0]:
                # The examples with the smallest hashes: a random choice that is the same in any order.
                lots.append((lot, Tile(_strip(item), item.id)))
                lots.sort(key=lambda pair: pair[0])
                del lots[most:]
            if (split, item.id) in wanted:
                kept[split, item.id] = Tile(_strip(item), f"{split} {item.id}")
    rows = [Row(f"{name} ({counts[name]:,})", tuple(tile for _, tile in lots)) for name, lots in drawn.items() if lots]
    return rows + [
        Row(title, tuple(kept[place] for pair in found for place in pair)) for title, found in pairs.items() if found
    ]


def _pairs_across_splits(report: Report, groups: int) -> dict[str, list[list[tuple[str, str]]]]:
    """Of the first groups, the first member and the first in another split, as split and id."""
    found: dict[str, list[list[tuple[str, str]]]] = {}
    for title, kind in (("equal", report.duplicates), ("nearly equal", report.near_duplicates)):
        across = [group.images for group in kind if group.across_splits]
        pairs = found.setdefault(f"{title} in two splits, pairs ({len(across)} groups)", [])
        for images in across[:groups]:
            other = next(image for image in images if image.split != images[0].split)
            pairs.append([(image.split, image.id) for image in (images[0], other)])
    return found


def _strip(item: Item) -> np.ndarray:
    """The image, or frames of a clip side by side, at the height of a line."""
    if item.pixels.ndim < 4:
        return shrink(item.pixels)
    times = np.linspace(0, len(item.pixels) - 1, FRAMES).round().astype(int)
    return np.concatenate([shrink(item.pixels[time]) for time in times], axis=1)


def shrink(picture: np.ndarray) -> np.ndarray:
    """(H, W), (H, W, 1) or (H, W, 3) uint8 -> (TILE, w, 3) uint8, the aspect kept unless it is very long."""
    height, width = picture.shape[:2]
    rgb = np.repeat(picture.reshape(height, width, 1), 3, axis=-1) if picture.shape[2:] != (3,) else picture
    if height == TILE:
        return rgb
    wide = min(max(round(width * TILE / height), 1), _MOST_WIDE)
    method = cv2.INTER_AREA if height > TILE else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(rgb), (wide, TILE), interpolation=method)


def _font(size: int) -> ImageFont.FreeTypeFont:
    # The font that comes with matplotlib has Greek, Cyrillic and Arabic letters for names of folders; Pillow's has not.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """The end of `text`, where ids differ, as much as fits."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("…" + text) > width:
        text = text[1:]
    return "…" + text
