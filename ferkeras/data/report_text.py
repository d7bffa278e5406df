"""The data report as a text for people: short, with the first lines of each kind of finding."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferkeras.data.report import DuplicateGroup, ImageRef, Report

#: Lines of one kind that the text shows; the JSON has them all.
SHOWN = 15
#: Members of a group that a line shows.
SHOWN_IN_GROUP = 4


def report_text(report: "Report") -> str:
    """The findings, many lines; those that do not apply to the data set are left out."""
    across = [group for group in report.duplicates if group.across_splits]
    disagree = [group for group in report.duplicates if group.labels_disagree]
    repeated = sum(len(group.images) - 1 for group in report.duplicates)
    kind = "clips" if report.frames else "images"
    lines = [
        *_table(report),
        "",
        *_subject_lines(report),
        *_frame_lines(report),
        *_skip_lines(report),
        f"Single-valued {kind}: {len(report.constant)}",
        *shorten([_place(image) for image in report.constant]),
        f"Exact duplicates: {len(report.duplicates)} groups, {repeated} {kind} more than distinct ones",
        *(f"  in {place}: {number} groups" for place, number in _by_splits(report.duplicates).items()),
        f"Groups across splits: {len(across)}",
        *shorten([_line(group, " = ") for group in across]),
        f"Groups with different labels: {len(disagree)}",
        *shorten([_line(group, " = ") for group in disagree]),
        f"Near duplicates across splits, by perceptual hash: {len(report.near_duplicates)} groups",
        *(f"  in {place}: {number} groups" for place, number in _by_splits(report.near_duplicates).items()),
        *shorten([_line(group, " ~ ") for group in report.near_duplicates]),
        "Fingerprint:",
        *(f"  {split}: {mark.count} {kind}, {mark.sha256}" for split, mark in report.fingerprint.items()),
    ]
    return "\n".join(lines)


def shorten(lines: list[str]) -> list[str]:
    """The first `SHOWN` lines, indented, and how many more there are."""
    more = len(lines) - SHOWN
    return [f"  {line}" for line in lines[:SHOWN]] + ([f"  and {more} more"] if more > 0 else [])


def _table(report: "Report") -> list[str]:
    unlabelled = {split: mark.count - sum(report.counts[split]) for split, mark in report.fingerprint.items()}
    some = bool(report.class_names) and any(unlabelled.values())
    header = ["split", *report.class_names, *(["unlabelled"] if some else []), "sum"]
    rows = [
        [split, *map(str, row), *([str(unlabelled[split])] if some else []), str(report.fingerprint[split].count)]
        for split, row in report.counts.items()
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [_aligned(row, widths) for row in (header, *rows)]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    right = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
    return "  ".join([f"{row[0]:<{widths[0]}}", *right])


def _subject_lines(report: "Report") -> list[str]:
    lines = []
    for split, subjects in report.subjects.items():
        largest = max(subjects, key=lambda subject: subjects[subject])
        lines.append(f"  {split}: {len(subjects)} subjects, most of {largest} ({subjects[largest]})")
    if lines:
        lines = ["Subjects:", *lines, f"Subjects in two splits: {len(report.torn_subjects)}"]
    return lines + shorten(list(report.torn_subjects))


def _frame_lines(report: "Report") -> list[str]:
    lines = [
        f"  {split}: {frames.without_face} of {frames.count}"
        + (f", no face at all in {frames.clips_without_face} clips" if frames.clips_without_face else "")
        for split, frames in report.frames.items()
    ]
    return ["Frames without a face:", *lines] if lines else []


def _skip_lines(report: "Report") -> list[str]:
    lines = [
        f"{split}: {number} x {reason}"
        for split, reasons in report.skipped.items()
        for reason, number in reasons.items()
    ]
    total = sum(sum(reasons.values()) for reasons in report.skipped.values())
    return [f"Left out: {total}", *shorten(lines)] if lines else []


def _by_splits(groups: Iterable["DuplicateGroup"]) -> Counter[str]:
    """Number of groups for each combination of splits, such as "train + test"."""
    # A dict keeps the order of the splits, which a set would lose.
    return Counter(" + ".join(dict.fromkeys(image.split for image in group.images)) for group in groups)


def _place(image: "ImageRef") -> str:
    return f"{image.split} {image.id} ({image.label})"


def _line(group: "DuplicateGroup", sign: str) -> str:
    more = len(group.images) - SHOWN_IN_GROUP
    shown = sign.join(map(_place, group.images[:SHOWN_IN_GROUP]))
    return shown + (f"{sign}{more} more" if more > 0 else "")
