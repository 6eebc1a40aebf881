"""The fuzzer sees what it looks for."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from tests.fuzz.runner import Kind, Mutant, try_mutant
from tests.fuzz.summary import counts_of, read_outcomes, write_result
from vampnet_models.errors import InputError


def kind_of(entry):
    def mutate(rng):
        return Mutant("m.bin", rng.bytes(8), "made up")

    return Kind("test", mutate, (entry,), (InputError,))


def refuse(_path, _out):
    raise InputError("m.bin: no; do this")


class Garbled(InputError):
    """Errors spell out what cannot be printed; one that does not would be a fault."""

    def __str__(self):
        return "m.bin: \x1b[2J"


def garble(_path, _out):
    raise Garbled("m.bin")


def fail(_path, _out):
    raise ValueError("unforeseen")


def die(_path, _out):
    os.abort()


def swallow(_path, _out):
    return int(np.ones(80_000_000)[-1])


def chat(_path, _out):
    os.write(2, b"library chatter\n")
    return 0


def read(path, out):
    assert path.read_bytes() != b"" and out.is_dir()
    return 7


@pytest.mark.parametrize(
    ("entry", "ended", "faults"),
    [
        (read, "accepted", ()),
        (refuse, "refused", ()),
        (garble, "not one line", ("not one line",)),
        (fail, "traceback", ("traceback",)),
        (die, "crash", ("crash",)),
        (swallow, "accepted", ("memory",)),
    ],
)
def test_how_a_mutant_ends_is_told(entry, ended, faults):
    outcome = try_mutant(kind_of(entry), 3)
    assert (outcome.ended, outcome.faults) == (ended, faults)
    assert outcome.how == "made up"
    if entry is fail:
        assert outcome.said.startswith("ValueError: unforeseen (test_runner.py")


def test_a_slow_mutant_and_what_its_content_needs_are_judged():
    outcome = try_mutant(kind_of(read), 3)
    assert outcome.allowance_bytes == 7
    assert replace(outcome, cpu_s=20.1).faults == ("slow",)
    grown = replace(outcome, peak_bytes=900_000_000)
    assert grown.faults == ("memory",)
    assert replace(grown, allowance_bytes=400_000_000).faults == ()


def test_finished_mutants_are_counted_and_a_cut_line_is_left_out(tmp_path):
    noisy = try_mutant(kind_of(chat), 1)
    assert noisy.chatter == "library chatter"
    lines = [json.dumps(o.as_json()) for o in (noisy, try_mutant(kind_of(fail), 2))]
    (tmp_path / "test.jsonl").write_text("\n".join(lines) + '\n{"kind": "te')
    outcomes = read_outcomes(tmp_path / "test.jsonl")
    assert [o.seed for o in outcomes] == [1, 2]
    counts = counts_of(outcomes)
    assert (counts["mutants"], counts["accepted"], counts["tracebacks"]) == (2, 1, 1)
    assert counts["with_chatter"] == 1
    assert counts["faults"] == [{"seed": 2, "how": "made up", "faults": ["traceback"]}]
    write_result(tmp_path / "r.json", tmp_path, ["test", "other"])
    assert list(json.loads((tmp_path / "r.json").read_text())["kinds"]) == ["test"]
