"""Apache Beam, an extra: which runner, with which options, and what the user can mend of what it says."""

import contextlib
import io
import re
from collections.abc import Sequence
from typing import Any

from ferkeras.errors import InputError, MissingExtraError

#: Beam's `DirectRunner` fetches a program from the internet when it first runs; this one of the same package does not.
_LOCAL = {"directrunner": "FnApiRunner"}
#: In the traceback of another machine, which Beam gives as text.
_TOLD = re.compile(r"\bferkeras\.errors\.\w*Error: (.+)|\b\w*InputError: (.+)")


def beam_config(runner: str | None, options: Sequence[str]) -> dict[str, Any]:
    """What `tfds.download.DownloadConfig` takes: `beam_runner` and `beam_options`, or nothing without a runner.

    Args:
        runner: Its name, in any case.
        options: `key=value`, or `key` for one without a value.

    Raises:
        InputError: for a runner or an option that Beam does not know, or options without a runner.
        MissingExtraError: without Apache Beam.
    """
    if runner is None:
        if options:
            raise InputError("--beam-options needs --beam-runner", received=" ".join(options))
        return {}
    try:
        from apache_beam import Pipeline
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise MissingExtraError("apache-beam", extra="beam") from error
    name = _LOCAL.get(runner.lower(), runner)
    flags = [f"--{option.strip().lstrip('-')}" for option in options]
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):  # its usage is that of another command
            found = PipelineOptions(flags=flags)
            known = found.get_all_options()
    except SystemExit as error:
        reason = told.getvalue().strip().rpartition("error: ")[2]
        raise InputError("Apache Beam cannot read its options", received=reason) from error
    unknown = [flag for flag in flags if flag.removeprefix("--").partition("=")[0] not in known]
    if unknown and name in _LOCAL.values():  # the services of other runners may know more than Beam itself
        raise InputError("Unknown option of Apache Beam", received=unknown[0], action="Write key=value.")
    try:
        Pipeline(runner=name, options=found)
    except (ImportError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split()).removesuffix(".")
        raise InputError("Apache Beam cannot use this runner", received=runner, action=f"{reason}.") from error
    return {"beam_runner": name, "beam_options": found}


def input_error_of_beam(error: BaseException) -> InputError | None:
    """The `InputError` of a worker whose traceback Beam gives as text, None if there is none."""
    match = _TOLD.search(str(error))
    if match is None:
        return None
    return InputError((match[1] or match[2]).strip().removesuffix("."))
