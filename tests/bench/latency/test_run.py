"""The latency benchmark on small models: rounds, resuming, failures, agreement."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.latency.results import opened, summary, table
from bench.latency.run import _RESULTS, agreement, run
from bench.latency.runners import BASELINE
from profiles.host import describe_host
from vampnet_models.errors import InputError


@pytest.fixture(scope="module")
def timed(small_models, tmp_path_factory):
    """Two rounds of coarse by three runners, one of which has no interpreter."""
    folder = tmp_path_factory.mktemp("latency")
    arguments = [str(small_models), "--work", str(folder / "work"), "--out"]
    arguments += [str(folder / "latency.json"), "--models", "coarse", "--windows", "20"]
    arguments += ["--runners", "int8-dynamic,openvino-fp32", "--threads", "1"]
    arguments += ["--bench-python", str(folder / "missing")]
    return arguments, folder / "latency.json", run([*arguments, "--rounds", "2"])


def test_every_runner_is_timed_or_recorded_as_failed(timed):
    _, path, record = timed
    assert json.loads(path.read_text()) == record
    (case,) = record["cases"].values()
    assert set(case["runners"]) == {BASELINE, "int8-dynamic", "openvino-fp32"}
    for name in (BASELINE, "int8-dynamic"):
        assert set(case["runners"][name]["samples_s"]) == {"0", "1"}
        assert case["runners"][name]["version"].startswith("onnxruntime ")
    assert case["summary"]["int8-dynamic"]["n_pairs"] == 2
    compared = case["runners"]["int8-dynamic"]["agreement"]
    assert compared["unit"] == "share"
    assert 0 < compared["n"] < 4 * 20
    missing = case["runners"]["openvino-fp32"]
    assert "does not start" in missing["failure"]
    assert "failed: " in table(record)


def test_a_run_goes_on_where_it_stopped(timed):
    arguments, _, record = timed
    first = record["cases"]["coarse-20"]["runners"][BASELINE]["samples_s"]
    longer = run([*arguments, "--rounds", "3"])
    samples = longer["cases"]["coarse-20"]["runners"][BASELINE]["samples_s"]
    assert set(samples) == {"0", "1", "2"}
    assert {number: samples[number] for number in first} == first


def test_another_number_of_threads_is_another_record(timed):
    _, path, _ = timed
    with pytest.raises(InputError, match="threads: 1 then, 2 now"):
        opened(path, describe_host(), 2)


def test_only_rounds_with_both_sides_are_compared():
    slow = {str(i): 4.0 for i in range(10)}
    fast = {str(i): 1.0 for i in range(0, 10, 2)}
    runners = {BASELINE: {"samples_s": slow}, "fast": {"samples_s": fast}}
    found = summary({"runners": runners})
    assert found["fast"] == {
        "n_pairs": 5,
        "median_s": 1.0,
        "speedup": 4.0,
        "speedup_interval": [4.0, 4.0],
    }
    assert "speedup" not in found[BASELINE]


def test_only_tokens_that_were_to_be_predicted_count(tmp_path):
    mask = np.array([[[1, 1, 0, 0]]])
    np.savez(tmp_path / "feed.npz", mask=mask)
    wanted = {"tokens": np.array([[[1, 2, 3, 4]]])}
    got = {"tokens": np.array([[[1, 0, 0, 0]]])}
    found = agreement(wanted, got, tmp_path / "feed.npz")
    assert found == {"unit": "share", "value": 0.5, "n": 2}


def test_audio_is_compared_by_its_noise(tmp_path):
    np.savez(tmp_path / "feed.npz", codes=np.zeros(1))
    wave = np.ones((1, 1, 100), np.float32)
    found = agreement({"audio": wave}, {"audio": wave * 1.1}, tmp_path / "feed.npz")
    assert found["unit"] == "dB"
    assert found["value"] == pytest.approx(20, abs=0.01)


def test_an_unknown_runner_or_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such runner"):
        run([str(tmp_path), "--runners", "fastest"])
    with pytest.raises(InputError, match="no such model"):
        run([str(tmp_path), "--models", "finest"])


def test_kept_figures_are_those_of_the_raw_samples():
    record = kept_record()
    for case in record["cases"].values():
        assert case["summary"] == summary(case)
        assert BASELINE in case["runners"]


def kept_record(path: Path = _RESULTS):
    return json.loads(path.read_text(encoding="utf-8"))
