"""The csv row parser, by properties."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS, FER2013_CODES
from tfds_builders.fer2013.csv_source import COLUMNS, parse_row
from tfds_builders.fer2013.example import SPLIT_OF_USAGE
from tfds_builders.fer2013.make_dummy_data import csv_row, dummy_examples

PIXELS = csv_row(dummy_examples()[0]).split(",")[1]


@given(
    code=st.sampled_from(sorted(FER2013_CODES)),
    usage=st.sampled_from(sorted(SPLIT_OF_USAGE)),
    pixels=st.binary(min_size=48 * 48, max_size=48 * 48),
    order=st.permutations(COLUMNS),
    quoted=st.booleans(),
    row=st.integers(0, 40_000),
)
def test_parse_row_inverts_writing(
    code: int, usage: str, pixels: bytes, order: list[str], quoted: bool, row: int
) -> None:
    text = " ".join(map(str, pixels))
    fields = {"emotion": str(code), "Usage": usage, "pixels": f'"{text}"' if quoted else text}
    line = ",".join(fields[column] for column in order) + "\r\n"
    example = parse_row(line, columns={column: i for i, column in enumerate(order)}, row=row, where="here")
    assert example[:3] == (SPLIT_OF_USAGE[usage], str(row), EMOTIONS[code])
    assert example.image.dtype == np.uint8
    # Row-major: pixel 1 lies to the right of pixel 0.
    assert example.image.shape == (48, 48, 1)
    assert example.image[0, 1, 0] == pixels[1]
    assert example.image.tobytes() == pixels


@given(line=st.text(max_size=200) | st.from_regex(r"[0-9]?,[0-9 .+-]*,[A-Za-z]*", fullmatch=True))
def test_parse_row_answers_any_other_line_with_input_error(line: str) -> None:
    with pytest.raises(InputError, match=r"^here"):
        parse_row(line, columns={column: i for i, column in enumerate(COLUMNS)}, row=0, where="here")


@given(
    position=st.integers(0, 48 * 48 - 1),
    bad=st.sampled_from(["256", "-1", "1.5", "1e2", "x", "1_0", "+5", "٣"]),
)
def test_parse_row_names_the_bad_pixel(position: int, bad: str) -> None:
    pixels = PIXELS.split()
    pixels[position] = bad
    line = f"0,{' '.join(pixels)},Training"
    with pytest.raises(InputError, match=re.escape(f"{bad!r} as pixel {position}")):
        parse_row(line, columns={column: i for i, column in enumerate(COLUMNS)}, row=0, where="here")
