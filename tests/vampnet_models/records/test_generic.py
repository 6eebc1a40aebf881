import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest

from vampnet_models.errors import InputError
from vampnet_models.records.files import read_record, write_record
from vampnet_models.records.generic import Version, read, versioned

KIND = Version("nest", 3, (2, 3), "build it again")


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Egg:
    name: str
    weight: float
    hatched: bool = False


@dataclass(frozen=True)
class Nest:
    eggs: tuple[Egg, ...]
    by_day: dict[str, int]
    span: tuple[float, float] | None
    colour: Colour = Colour.RED
    state: Literal["new", "old"] = "new"
    best: Egg | None = None
    why: Egg | str = ""
    more: Any = field(default=None)


NEST = Nest((Egg("a", 1.5), Egg("b", 2.0, True)), {"mon": 2}, (0.0, 1.0), best=Egg("b", 2.0))
PLAIN = json.loads(json.dumps(versioned(NEST, KIND)))


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "nest.json"
    write_record(NEST, KIND, path)
    written = json.loads(path.read_text())
    assert next(iter(written)) == "schema" and written["schema"] == 3
    assert written["colour"] == "red" and written["span"] == [0.0, 1.0]
    assert read_record(Nest, KIND, path) == NEST


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"eggs": [{"name": "a", "weight": 1}, {"name": "b"}]}, r"eggs\[1\].weight: is missing"),
        ({"eggs": [PLAIN["eggs"][0] | {"wings": 2}]}, r"eggs\[0\].wings: no such field"),
        ({"eggs": [{"name": 3, "weight": 1}]}, r"eggs\[0\].name: must be a text, is 3"),
        ({"eggs": None}, "eggs: must be a list"),
        ({"eggs": "ab"}, "eggs: must be a list, is 'ab'"),
        ({"by_day": {"mon": 1.5}}, "by_day.mon: must be a whole number, is 1.5"),
        ({"by_day": {"mon": True}}, "by_day.mon: must be a whole number, is True"),
        ({"by_day": []}, r"by_day: must be an object, is \[\]"),
        ({"span": [1.0]}, "span: must hold 2 values"),
        ({"span": [1.0, "x"]}, r"span\[1\]: must be a number, is 'x'"),
        ({"colour": "blue"}, "colour: must be one of red, is 'blue'"),
        ({"colour": []}, "colour: must be one of red"),
        ({"state": "lost"}, "state: must be one of new, old, is 'lost'"),
        ({"best": []}, r"best: must be an object, is \[\]"),
        ({"why": 1}, "why: must be a text, is 1"),
        ({"why": "x" * 200, "state": "y" * 200}, r"state: .*y\.\.\.; build it again$"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(change: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=f"^nest.json: {told}.*; build it again$|{told}"):
        read(Nest, PLAIN | change, "nest.json", "build it again")


def test_a_union_takes_the_first_type_that_fits() -> None:
    assert read(Nest, PLAIN | {"why": "so"}, "it", "mend it").why == "so"
    assert read(Nest, PLAIN | {"why": PLAIN["eggs"][0]}, "it", "mend it").why == NEST.eggs[0]


@pytest.mark.parametrize("version", [1, None, "3", [3], 99])
def test_another_version_is_refused_in_one_line(version: object, tmp_path: Path) -> None:
    path = tmp_path / "nest.json"
    path.write_text(json.dumps(PLAIN | {"schema": version}))
    with pytest.raises(InputError, match=r"schema.*; this version reads 2 or 3; build it again"):
        read_record(Nest, KIND, path)


def test_the_version_before_is_read(tmp_path: Path) -> None:
    path = tmp_path / "nest.json"
    path.write_text(json.dumps(PLAIN | {"schema": 2}))
    assert read_record(Nest, KIND, path) == NEST
