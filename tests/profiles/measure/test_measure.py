import dataclasses
import itertools
import json
import platform
import subprocess
import sys

import numpy as np
import pytest

from profiles import host
from profiles.measure import measure, rounds
from profiles.measure.measure import Plan
from profiles.place import Place, cpu
from tests.profiles import graphs
from vampnet_models.errors import InputError
from vampnet_models.records.generic import as_json
from vampnet_models.records.profiles import Failure, Measurement

QUICK = Plan(rounds=8, min_rounds=8, warmup_max=4, cold=False)


@pytest.fixture
def feeds(tmp_path):
    return graphs.save_feeds(tmp_path / "feeds.npz", x=np.ones((256, 64), np.float32))


def test_a_slower_variant_is_called_slower_and_all_samples_stay(tmp_path, feeds):
    models = [
        ("reference", graphs.save(graphs.slow_matmul(2), tmp_path / "one.onnx")),
        ("slow", graphs.save(graphs.slow_matmul(200), tmp_path / "many.onnx")),
    ]
    seen = []
    records = measure.measure(
        models, feeds, cpu(1), plan=QUICK, progress=lambda *at: seen.append(at)
    )
    reference, slow = records["reference"], records["slow"]
    assert isinstance(reference, Measurement)
    assert isinstance(slow, Measurement)
    assert len(reference.samples_s) == len(slow.samples_s) == 8
    assert reference.ratio_to_reference == 1
    assert slow.ratio_interval is not None and slow.ratio_interval[0] > 3
    assert slow.verdict == "slower"
    assert any("slower here" in line for line in slow.warnings)
    assert slow.first_run_s > 0
    assert slow.session_s > 0
    assert slow.overhead_s > 0
    assert slow.bytes == models[1][1].stat().st_size
    assert seen[-1][0] == seen[-1][1]


def test_the_record_is_json_with_the_fields_of_the_results(tmp_path, feeds):
    path = graphs.save(graphs.matmul(), tmp_path / "one.onnx")
    record = measure.measure([("reference", path)], feeds, cpu(1), plan=QUICK)["reference"]
    data = json.loads(json.dumps(as_json(record)))
    assert data["kind"] == "measurement"
    assert data["p10_s"] <= data["median_s"] <= data["p90_s"]
    assert data["ratio_to_reference"] == 1
    assert data["ratio_interval"] == [1, 1]
    assert {"samples_s", "warmup_s", "session_s", "first_run_s", "peak_rss_bytes", "bytes"} <= set(
        data
    )
    assert data["threads"] == 1
    assert len(data["yardstick_s"]) == len(data["samples_s"]) == 8
    assert all(s > 0 for s in data["yardstick_s"])


def test_a_plan_may_do_without_the_yardstick(tmp_path, feeds):
    path = graphs.save(graphs.matmul(), tmp_path / "one.onnx")
    plan = dataclasses.replace(QUICK, yardstick=False)
    record = measure.measure([("reference", path)], feeds, cpu(1), plan=plan)["reference"]
    assert as_json(record)["yardstick_s"] == []


def test_a_broken_variant_fails_by_name_and_the_others_go_on(tmp_path, feeds):
    broken = tmp_path / "broken.onnx"
    broken.write_text("not a model")
    narrow = graphs.save(graphs.matmul(inner=63), tmp_path / "narrow.onnx")
    records = measure.measure(
        [
            ("reference", graphs.save(graphs.matmul(), tmp_path / "one.onnx")),
            ("broken", broken),
            ("narrow", narrow),
            ("good", graphs.save(graphs.matmul(), tmp_path / "two.onnx")),
        ],
        feeds,
        cpu(1),
        plan=QUICK,
    )
    assert list(records) == ["reference", "broken", "narrow", "good"]
    assert isinstance(records["broken"], Failure)
    assert "broken.onnx" in records["broken"].reason
    assert isinstance(records["narrow"], Failure)
    assert "narrow.onnx" in records["narrow"].reason
    assert isinstance(records["good"], Measurement)
    assert records["good"].ratio_to_reference is not None


def test_without_its_reference_a_variant_has_no_ratio(tmp_path, feeds):
    narrow = graphs.save(graphs.matmul(inner=63), tmp_path / "narrow.onnx")
    good = graphs.save(graphs.matmul(), tmp_path / "one.onnx")
    records = measure.measure([("reference", narrow), ("good", good)], feeds, cpu(1), plan=QUICK)
    assert isinstance(records["good"], Measurement)
    assert records["good"].ratio_to_reference is None
    assert any("reference failed" in line for line in records["good"].warnings)


def test_short_memory_makes_groups_that_say_so(tmp_path, feeds, monkeypatch):
    need = measure._BASE_BYTES + 100_000
    monkeypatch.setattr(host, "memory_bytes", lambda: (3 * need, int(2.5 * need)))
    models = [
        (name, graphs.save(graphs.matmul(), tmp_path / f"{name}.onnx")) for name in ("r", "a", "b")
    ]
    records = measure.measure(models, feeds, cpu(1), plan=QUICK)
    for name in ("a", "b"):
        assert records[name].ratio_to_reference is not None
        assert any("measured in 2 groups" in line for line in records[name].warnings)


@pytest.mark.parametrize(
    ("sizes", "room", "expected"),
    [
        ([0, 0, 0], 3.1, [[0, 1, 2]]),
        ([0, 0, 0], 2.1, [[0, 1], [0, 2]]),
        ([0, 0, 0, 0, 0], 3.1, [[0, 1, 2], [0, 3, 4]]),
        ([0, 100, 0], 2.1, [[0, 2], [1]]),
        ([0], 0.5, [[0]]),
        ([], 1.0, []),
    ],
)
def test_groups_hold_the_reference_and_fit(sizes, room, expected):
    megabytes = [size * 10_000_000 for size in sizes]
    assert measure.plan_groups(megabytes, int(room * measure._BASE_BYTES), True) == expected


def test_unknown_memory_is_one_group():
    assert measure.plan_groups([10**12] * 3, None, True) == [[0, 1, 2]]


def test_missing_feeds_are_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"absent\.npz"):
        measure.measure([], tmp_path / "absent.npz", cpu(1))


class Fake:
    """A process whose runs take what `times_s` says in turn, and which notes them in `calls`."""

    def __init__(self, name, times_s, calls):
        self.name = name
        self.times_s = itertools.cycle(times_s)
        self.calls = calls

    def run(self, times=1):
        self.calls.append(self.name)
        return [next(self.times_s)] * times


def fakes(times_s):
    calls = []
    return calls, [
        rounds.Entry(name, None, None, 0, child=Fake(name, each, calls), first_run_s=0.1)
        for name, each in times_s.items()
    ]


def test_rounds_are_shuffled_interleaved_and_bounded():
    calls, entries = fakes({"a": [0.1], "b": [0.1, 0.2], "c": [0.1]})
    rounds._run_rounds(entries, Plan(rounds=12, min_rounds=3, budget_s=60), lambda *_: None)
    turns = [calls[i : i + 3] for i in range(0, len(calls), 3)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 2
    calls.clear()
    rounds._run_rounds(entries, Plan(rounds=12, min_rounds=3, budget_s=0), lambda *_: None)
    assert len(calls) == 9


@pytest.mark.parametrize(
    ("times_s", "n_rounds"),
    [
        ({"a": [0.1], "b": [0.2], "c": [0.1]}, 4),
        # Slower by itself and by chance: known is only what is always so.
        ({"a": [0.1], "b": [0.2, 0.3], "c": [0.1]}, 12),
        ({"a": [0.1, 0.101], "b": [0.2, 0.202, 0.201]}, 4),
        ({"a": [0.1]}, 12),
    ],
)
def test_rounds_end_where_every_ratio_is_known(times_s, n_rounds):
    calls, entries = fakes(times_s)
    rounds._run_rounds(entries, Plan(rounds=12, min_rounds=4), lambda *_: None)
    assert {len(each.samples_s) for each in entries} == {n_rounds}
    assert len(calls) == n_rounds * len(times_s)


def test_a_failed_process_does_not_keep_rounds_going():
    _, entries = fakes({"a": [0.1], "b": [0.2], "c": [0.1, 0.3]})
    entries[2].failure = "its process crashed"
    rounds._run_rounds(entries, Plan(rounds=12, min_rounds=4), lambda *_: None)
    assert [len(each.samples_s) for each in entries] == [4, 4, 0]


def test_a_session_is_also_opened_cold_where_the_cache_can_be_dropped(tmp_path, feeds):
    path = graphs.save(graphs.matmul(), tmp_path / "one.onnx")
    plan = Plan(rounds=2, min_rounds=1, warmup_max=1)
    record = measure.measure([("reference", path)], feeds, cpu(1), plan=plan)["reference"]
    assert isinstance(record, Measurement)
    assert record.session_cold_s is None or record.session_cold_s > 0


@pytest.mark.skipif(platform.system() != "Linux", reason="/proc/stat is Linux")
@pytest.mark.long
def test_a_busy_neighbour_is_called_noise(tmp_path, feeds):
    path = graphs.save(graphs.slow_matmul(500), tmp_path / "one.onnx")
    neighbours = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in host.affinity()
    ]
    try:
        plan = Plan(rounds=12, min_rounds=12, warmup_max=2, cold=False)
        record = measure.measure([("reference", path)], feeds, cpu(1), plan=plan)["reference"]
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()
    assert isinstance(record, Measurement)
    assert record.noisy
    assert any("other processes used" in line for line in record.warnings)


@pytest.mark.parametrize(
    ("warmup_s", "runs"),
    [([0.2, 0.004, 0.004, 0.004], 25), ([0.3], 1), ([1.5], 0), ([1e-6] * 3, 1000)],
)
def test_a_timed_run_follows_a_tenth_of_a_second_of_others(warmup_s, runs):
    assert rounds.lead_runs(warmup_s) == runs


def test_a_device_that_cannot_be_used_is_said_without_our_own_files():
    with pytest.raises(InputError, match=r"cannot run even an identity model: CUDA") as said:
        measure.harness_overhead_s(Place("cuda", "CUDAExecutionProvider"))
    assert "identity.onnx" not in str(said.value)
