"""The page of tuned sets shows what each search asked for, and what its models cost."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

import vampbench as vb
from docs.cells import ACCURACY, FIGURES, Json
from docs.tables.tuned import asked, searches
from docs.update import search_at
from tests.optimize.tuning.test_tune import WIDTH, two_layers

NOTHING_ASKED: Json = dict.fromkeys(
    (
        *("grade", "min_sampled", "max_cost_nats", "max_cost_db", "min_agreement"),
        *("min_first_agreement", "min_si_sdr_db", "max_bytes", "max_latency"),
    )
)


def figure(value: float, low: float, high: float) -> Json:
    return {"value": value, "low": low, "high": high}


def model(name: str, n_bytes: int, recipe: str = "tuned-1", **accuracy: object) -> Json:
    return {
        "name": name,
        "recipe": recipe,
        "bytes": n_bytes,
        "source_bytes": 4_000_000,
        "accuracy": dict.fromkeys((*ACCURACY, *FIGURES)) | accuracy,
        "cpu": {"ratio_to_reference": 0.5, "ratio_interval": [0.45, 0.55], "noisy": True},
        "free_running": None,
        "precisions": {"int8-weights": 3, "float32": 1},
    }


def found_set(n_bytes: int, **figures: object) -> Json:
    known = ("agreement", "first_agreement", "si_sdr_db", "sampled_agreement", "cost_nats")
    more = {"bytes": n_bytes, "latency": 0.9, "latency_high": None, "noisy": False}
    return dict.fromkeys((*known, "cost_log_mel_db")) | more | figures


COST_DB, COST_NATS = figure(0.031, 0.01, 0.0567), figure(0.002, -0.001, 0.00561)
SAMPLED = figure(0.99, 0.985, 0.995)
BY_GRADE: Json = {
    "wish": NOTHING_ASKED | {"grade": "harmless"},
    "verdict": "The tuned set is smaller.",
    "source_bytes": 8_000_000,
    "chosen": found_set(
        2_000_000,
        agreement=0.9812,
        sampled_agreement=SAMPLED,
        cost_nats=COST_NATS,
        cost_log_mel_db=COST_DB,
        latency_high=0.95,
    ),
    "uniform": found_set(4_000_000, noisy=True) | {"recipe": "fp16"},
    "models": [
        model("codec_encoder", 1_000_000, cost_log_mel_db=COST_DB),
        model("coarse", 1_000_000, "int4-mixed", cost_nats=COST_NATS, sampled_agreement=SAMPLED),
    ],
}
BY_TOKENS: Json = {
    "wish": NOTHING_ASKED | {"min_agreement": 0.97, "min_si_sdr_db": 30.0},
    "verdict": "No uniform recipe meets this budget; the tuned set does.",
    "source_bytes": 4_000_000,
    "chosen": found_set(1_000_000, agreement=0.975, si_sdr_db=31.0),
    "uniform": None,
    "models": [model("coarse", 1_000_000, token_agreement=0.975, interval=[0.97, 0.98])],
}


def tables(text: str) -> list[list[str]]:
    return [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]


def test_a_search_by_grade_shows_costs_sizes_and_times() -> None:
    sets, models = tables(searches([BY_GRADE]))
    assert sets[2:] == [
        "| harmless | tuned | 2.00 MB | 25% | +0.0056 nats, +0.057 dB | 98.50 % | "
        "0.90 x (up to 0.95) |",
        "| harmless | `fp16` throughout | 4.00 MB | 50% | - | - | 0.90 x (noisy) |",
    ]
    assert models[2:] == [
        "| harmless | codec_encoder | 1.00 MB | 25% | +0.031 (+0.010 to +0.057) dB | - | "
        "0.50 x (0.45 to 0.55, noisy) | 3 int8-weights, 1 float32 |",
        "| harmless | coarse | 1.00 MB | 25% | +0.0020 (-0.0010 to +0.0056) nats | "
        "99.00 % (98.50 % to 99.50 %) | 0.50 x (0.45 to 0.55, noisy) | `int4-mixed` |",
    ]


@pytest.mark.parametrize("quoted", [[BY_GRADE], [BY_TOKENS], [BY_GRADE, BY_TOKENS]])
def test_every_row_has_the_columns_of_its_head(quoted: list[Json]) -> None:
    found = tables(searches(quoted))
    assert len(found) == len(quoted) + 1
    for lines in found:
        assert len({line.count("|") for line in lines}) == 1


def test_a_search_by_tokens_shows_those_beside_one_by_grade() -> None:
    sets, _, models = tables(searches([BY_GRADE, BY_TOKENS]))
    assert "| least agreement | SI-SDR |" in sets[0]
    assert "| 97%, 30 dB | tuned | 1.00 MB | 25% | - | - | 97.50 % | 31.0 dB | 0.90 x |" in sets
    assert models[2].startswith("| 97%, 30 dB | coarse | 1.00 MB | 97.50 % (97.00 % to 98.00 %) |")


def test_bounds_of_the_first_codebooks_and_free_runs_get_columns() -> None:
    search = copy.deepcopy(BY_TOKENS)
    search["wish"] |= {"min_first_agreement": 0.99, "max_bytes": 2_000_000, "max_latency": 0.8}
    search["chosen"] |= {"first_agreement": 0.9912, "si_sdr_db": None}
    search["models"][0]["free_running"] = {"variant": 0.951, "floor": 0.998}
    sets, models = tables(searches([search]))
    assert asked(search) == "97%, 99% of the first four, 0.8 x, 2.00 MB"
    assert "| 97.50 % | 99.12 % | - | 0.90 x |" in sets[2]
    assert "| without near-ties | free-running | FP32 twice, free-running | blocks |" in models[0]
    assert "| 95.10 % | 99.80 % |" in models[2]


def test_a_search_that_found_nothing_says_what_is_lacking() -> None:
    missed = BY_GRADE | {"chosen": None, "uniform": None, "source_bytes": None, "models": []}
    missed |= {"wish": NOTHING_ASKED | {"grade": "faithful"}, "verdict": "No set is shown."}
    text = searches([missed])
    assert "| faithful | none | - | - | - | - | - |" in text
    assert text.endswith("*faithful*: No set is shown.")
    assert len(tables(searches([BY_GRADE, missed]))) == 2


def test_a_real_search_is_kept_and_shown(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    feeds = [{"x": draw.standard_normal((4, WIDTH)).astype(np.float32)} for _ in range(8)]
    two = two_layers(tmp_path)
    tuned = vb.tune(two.path, tmp_path / "out", data=feeds, rounds=3)
    assert tuned.ok and tuned.tuning.chosen is not None
    kept = search_at(tuned.tuning_path)
    assert kept["wish"]["grade"] == "harmless" and asked(kept) == "harmless"
    assert kept["source_bytes"] == kept["models"][0]["source_bytes"] == two.bytes
    assert kept["chosen"]["latency_high"] > 0
    assert kept["chosen"]["noisy"] in (True, False)
    sets, models = tables(searches([kept]))
    of_fp32 = f"{tuned.tuning.chosen.bytes / two.bytes:.0%}"
    assert sets[2].startswith("| harmless | tuned | 0.0") and f"| {of_fp32} |" in sets[2]
    assert models[2].startswith("| harmless | two | 0.0") and " x (" in models[2]
    assert str(tmp_path) not in str(kept)

    missed = vb.tune(two.path, tmp_path / "out", data=feeds, rounds=3, max_bytes=1)
    assert not missed.ok
    assert search_at(missed.tuning_path)["chosen"] is None
