"""Splits must not share a person or a recording: results would be those of memory."""

from collections.abc import Iterable

from ferkeras.errors import InputError


def check_groups(groups: Iterable[tuple[str, str]], *, what: str) -> None:
    """Raises `InputError` if a group stands in two splits.

    Args:
        groups: Split and name of the group (a subject, a recording) of each example.
        what: What a group is, for the message.
    """
    split_of: dict[str, str] = {}
    for split, group in groups:
        other = split_of.setdefault(group, split)
        if other != split:
            raise InputError(
                f"The same {what} stands in two splits",
                received=f"{group} in {other} and {split}",
                action=f"Put all of a {what} into one split.",
            )
