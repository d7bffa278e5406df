"""What the user can mend, told in one line. Standard library only."""

import errno
import os
from typing import Any

#: What can be wrong with a disk -> what to do. TensorFlow has the system's words in its own errors, without a number.
_DISK = {
    errno.ENOSPC: "Make room or choose another folder, then run the same command again.",
    errno.EDQUOT: "Make room or choose another folder, then run the same command again.",
    errno.EROFS: "Choose a folder that can be written to.",
    errno.EACCES: "Choose another folder or file, or change its permissions.",
    errno.EIO: "The disk may be failing: copy what is on it.",
}


class InputError(ValueError):
    """A wrong argument, file or data set, told in one line without a traceback.

    The commands print it as `ferkeras: <what>. Received: <value>. <what to do>` and exit with 2;
    library users catch it as a `ValueError`.

    Args:
        what: What was expected or what went wrong, without a full stop.
        received: The offending value, shown by `repr`. Omit it where there is none.
        action: What to do next, a full sentence.
    """

    def __init__(self, what: str, *, received: Any = None, action: str = "") -> None:
        parts = [f"{what}."]
        if received is not None:
            parts.append(f"Received: {received if isinstance(received, str) else repr(received)}.")
        if action:
            parts.append(action)
        super().__init__(" ".join(parts))

    def __reduce__(self) -> tuple[Any, ...]:
        """As text: exceptions are otherwise built anew of their text, and would put it into words once more."""
        return _as_told, (type(self), str(self))


def _as_told(kind: type[InputError], text: str) -> InputError:
    return kind.__new__(kind, text)


class MissingExtraError(InputError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(
            f"The package {package} is needed for this and is not installed",
            action=f'Install it with: pip install "ferkeras[{extra}]"',
        )


def from_the_disk(error: BaseException | None) -> InputError | None:
    """`error` for the user, where it or what it came from is a fault of the disk or of prepared data; else None.

    Knows a disk that is full, read-only or failing, a missing permission, and damaged or missing records of a
    prepared data set.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        told = _told(error)
        if told is not None:
            return told
        error = error.__cause__ or error.__context__
    return None


def _told(error: BaseException) -> InputError | None:
    # TensorFlow's own errors are known by their names, since this file imports the standard library alone.
    of_tensorflow = type(error).__module__.startswith("tensorflow.")
    text = str(error).partition("[Op:")[0].strip()
    for code, action in _DISK.items():
        words = os.strerror(code)
        if isinstance(error, OSError) and error.errno == code:
            if error.filename is None and code == errno.EACCES:
                return None  # not of a file: a port, say
            return InputError(words, received=None if error.filename is None else str(error.filename), action=action)
        if of_tensorflow and text.endswith(words):
            return InputError(words, received=_path_in(text), action=action)
    if of_tensorflow and (
        type(error).__name__ == "DataLossError" or (".tfrecord" in text and type(error).__name__ == "NotFoundError")
    ):
        return InputError(
            "The prepared data is damaged",
            received=text.rpartition("}} ")[2].rstrip("."),
            action="Delete the folder of the data set and prepare it again.",
        )
    return None


def _path_in(text: str) -> str:
    """`{{...}} some/file; No space left on device` -> `some/file`."""
    return text.rpartition("}} ")[2].rpartition(";")[0]
