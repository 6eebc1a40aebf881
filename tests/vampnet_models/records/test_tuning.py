"""tune.json: what is written is read again."""

import json
from dataclasses import replace

import pytest

from optimize.tuning.goal import SearchGoal
from profiles.targets.order import parse_targets
from vampnet_models.errors import InputError
from vampnet_models.records.accuracy import AccuracyReport, FreeRun, FreeRunning, NearTies
from vampnet_models.records.files import (
    read_record,
    recall_record,
    remembered_record,
    write_record,
)
from vampnet_models.records.generic import TUNING
from vampnet_models.records.results import Block, BlockOption, Why
from vampnet_models.records.tuning import (
    Candidate,
    CandidateSet,
    ChosenModel,
    Missed,
    NearSet,
    Reverted,
    Tuning,
    UniformSet,
    Verdict,
)

GOAL = SearchGoal(
    min_agreement=0.9,
    min_si_sdr_db=30.0,
    max_bytes=None,
    max_latency=None,
    prefer="smallest",
    target=parse_targets("cpu")[0],
)
PART = Candidate("coarse", "tuned-1", 10, 0.05, 0.95, None, 0.5, 1e-3, uniform=False)
FIGURES = {
    "bytes": 10,
    "agreement": 0.95,
    "first_agreement": None,
    "si_sdr_db": None,
    "latency": 0.5,
    "loss": 0.05,
    "parts": (PART,),
}
CHOSEN = CandidateSet(**FIGURES)
RUN = FreeRun(0.9, (1.0, 0.9), (1, None), 40, 1)
MODEL = ChosenModel(
    "coarse",
    "coarse",
    "tuned-1",
    10,
    AccuracyReport(token_agreement=0.95, near_ties=NearTies(1e-3, 0.01, 0.96)),
    FreeRunning(RUN, replace(RUN, kept=1.0)),
    (Block("a", "int8", (BlockOption("a", "int8", None, 0.5, 9, 0.7),), Why("small", None), 3),),
)
FOUND = Tuning(
    command="tune models",
    wish=GOAL.asked,
    target="cpu",
    met=True,
    chosen=CHOSEN,
    uniform=UniformSet(**FIGURES, recipe="fp16"),
    verdict=Verdict("tuned-better", "smallest", "fp16", 10, 20, "bytes", "smaller"),
    reverted=(Reverted("m", "r", 0.8, None, None, (Missed("min_agreement", 0.9, 0.8),), "m r"),),
    noisy=False,
    smallest=CHOSEN,
    fastest=CHOSEN,
    front=(CHOSEN,),
    nearest=(NearSet(**FIGURES, keeps="truest"),),
    seeded=False,
    models=(MODEL,),
)


def test_it_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "tune.json"
    write_record(FOUND, TUNING, path)
    assert read_record(Tuning, TUNING, path) == FOUND
    written = json.loads(path.read_text())
    assert written["chosen"]["bytes"] == 10 and "target" not in written["wish"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v.update(schema=7), "schema 7; this version reads 1"),
        (lambda v: v["chosen"].pop("bytes"), "chosen.bytes: is missing; tune again"),
        (lambda v: v["models"][0].update(mood=1), r"models\[0\].mood: no such field; tune again"),
        (lambda v: v["nearest"][0].update(keeps="all"), r"nearest\[0\].keeps: must be one of"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(tmp_path, change, said):
    path = tmp_path / "tune.json"
    write_record(FOUND, TUNING, path)
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=said):
        read_record(Tuning, TUNING, path)


def test_a_step_is_kept_as_a_record_until_its_key_or_its_fields_change(tmp_path):
    path = tmp_path / "run.json"
    assert remembered_record(FreeRun, path, "k", lambda: RUN) == RUN
    assert remembered_record(FreeRun, path, "k", lambda: pytest.fail("it was kept")) == RUN
    assert recall_record(FreeRun, path, "other") is None
    assert recall_record(NearTies, path, "k") is None
