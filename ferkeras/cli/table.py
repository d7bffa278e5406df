"""Plain tables for the terminal."""

from collections.abc import Sequence


def format_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    numeric = [
        bool(column) and all(cell.replace(",", "").replace(".", "").isdigit() for cell in column)
        for column in zip(*cells, strict=True)
    ] or [False] * len(head)

    def line(row: Sequence[str]) -> str:
        parts = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        return "  ".join(parts).rstrip()

    return "\n".join([line(list(head)), line(["-" * width for width in widths]), *map(line, cells)])


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    print(format_table(head, rows))
