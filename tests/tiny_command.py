"""A command with `tiny_faces` among the known data sets, for tests that need processes of their own:
`python -m tests.tiny_command train RECIPE ...`."""

import sys

from ferkeras.cli.command import run_command
from ferkeras.data import sources

if __name__ == "__main__":
    sources.DATASETS["tiny_faces"] = "tests.tiny_faces"
    sys.exit(run_command(sys.argv[1], sys.argv[2:]))
