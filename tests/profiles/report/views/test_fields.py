"""Records of others' files: what is absent is nothing, what is of another type an error."""

from __future__ import annotations

import math

import pytest

from profiles.report.views.fields import Record
from vampnet_models.errors import InputError

HELD = Record(
    {
        "half": 0.5,
        "two": 2.0,
        "endless": math.inf,
        "yes": True,
        "word": "w",
        "null": None,
        "inner": {"a": {"word": "deep"}, "none": None},
        "rows": [{"word": "first"}, {"word": 2}],
        "long": ["x" * 100],
    },
    "made",
)


def test_what_is_there_is_given() -> None:
    assert (HELD.number("half"), HELD.number("endless")) == (0.5, math.inf)
    assert (HELD.count("two"), HELD.text("word")) == (2, "w")
    assert HELD.record("inner").record("a").text("word") == "deep"


@pytest.mark.parametrize("key", ["null", "absent"])
def test_what_is_not_there_is_nothing(key: str) -> None:
    assert HELD.number(key) is HELD.count(key) is HELD.text(key) is None
    assert HELD.record(key).data == {}


@pytest.mark.parametrize(
    ("reader", "key", "said"),
    [
        ("number", "word", "made.word: must be a number, is 'w'"),
        ("number", "yes", "made.yes: must be a number, is True"),
        ("count", "half", "made.half: must be a whole number, is 0.5"),
        ("count", "endless", "made.endless: must be a whole number, is inf"),
        ("text", "two", "made.two: must be a text, is 2.0"),
        ("record", "rows", "made.rows: must be an object, is "),
        ("record", "long", "made.long: must be an object, is .{57}\\.\\.\\.; write"),
    ],
)
def test_another_type_is_one_line_that_names_the_place(reader: str, key: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        getattr(HELD, reader)(key)


def test_a_place_is_named_from_the_outside_in() -> None:
    with pytest.raises(InputError, match=r"made\.inner\.a\.word: must be a number"):
        HELD.record("inner").record("a").number("word")
