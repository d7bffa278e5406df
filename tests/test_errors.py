"""Errors for people: their line, and that it comes through processes as it was."""

import pickle

import pytest

from ferkeras.errors import InputError, MissingExtraError


@pytest.mark.parametrize(
    "error",
    [
        InputError("There must be at least 1", received=0, action="Take more."),
        InputError("A path is wrong", received="a/b"),
        MissingExtraError("ray", extra="tune"),
    ],
)
def test_an_error_of_another_process_says_the_same(error: InputError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_the_line() -> None:
    assert str(InputError("There must be at least 1", received=0, action="Take more.")) == (
        "There must be at least 1. Received: 0. Take more."
    )
