"""A hundred mutants of each kind; `make fuzz` tries ten thousand."""

import json

import pytest

from bench import ROOT
from bench.reliability.onnx_suite_results import DOCS
from tests.fuzz import checkpoints, headers, sounds
from tests.fuzz.runner import mutant_of, try_mutant
from tests.fuzz.summary import section, with_section

RESULTS = ROOT / "bench" / "results" / "fuzz.json"
KINDS = {kind.name: kind for kind in (checkpoints.KIND, headers.KIND, sounds.KIND)}


@pytest.mark.parametrize("name", KINDS)
def test_no_mutant_ends_in_anything_but_a_line(name):
    kind = KINDS[name]
    kind.prepare()
    outcomes = [try_mutant(kind, seed) for seed in range(100)]
    assert [outcome for outcome in outcomes if outcome.faults] == []
    ends = [outcome.ended for outcome in outcomes]
    assert min(ends.count("accepted"), ends.count("refused")) > 5


@pytest.mark.parametrize("name", KINDS)
def test_a_seed_gives_the_same_mutant_always(name):
    made = [mutant_of(KINDS[name], seed) for seed in (7, 8, 7)]
    assert made[0] == made[2] != made[1]


def test_the_page_shows_the_counts_of_the_results():
    content, text = json.loads(RESULTS.read_text("utf-8")), DOCS.read_text("utf-8")
    assert with_section(text, content) == text and section(content) in text
    assert content["kinds"].keys() == KINDS.keys()
    for counts in content["kinds"].values():
        assert counts["faults"] == []
        assert counts["accepted"] + counts["refused"] == counts["mutants"]
