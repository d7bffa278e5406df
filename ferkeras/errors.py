"""The one exception that means "the user can mend this". Standard library only."""

from typing import Any


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


class MissingExtraError(InputError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(
            f"The package {package} is needed for this and is not installed",
            action=f'Install it with: pip install "ferkeras[{extra}]"',
        )
