"""`ferkeras COMMAND ...`: finds the command's module and runs it."""

import sys

from ferkeras import __version__
from ferkeras.cli.command import COMMANDS, run_command


def main() -> None:
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        sys.exit(0 if words else 2)
    if words[0] == "--version":
        print(__version__)
        sys.exit(0)
    if words[0] not in COMMANDS:
        known = ", ".join(COMMANDS)
        print(f"ferkeras: Unknown command. Received: {words[0]}. Known: {known}.", file=sys.stderr)
        sys.exit(2)
    sys.exit(run_command(words[0], words[1:]))


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    head = ["usage: ferkeras COMMAND ...", "", "Facial-expression recognition in Keras 3.", "", "commands:"]
    return "\n".join([*head, *lines, "", "`ferkeras COMMAND --help` tells the options of one."])


if __name__ == "__main__":
    main()
