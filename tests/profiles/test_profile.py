import json
from contextlib import contextmanager

import numpy as np
import pytest

from profiles.measure.measure import Plan
from profiles.place import cpu
from profiles.profile import profile_variants
from profiles.targets import contract
from profiles.targets.order import parse_targets
from tests.profiles import graphs
from vampnet_models.errors import InputError
from vampnet_models.records.generic import as_json

QUICK = Plan(rounds=4, min_rounds=2, warmup_max=3, cold=False)


def test_every_variant_has_every_target_and_a_bad_one_says_why(tmp_path):
    feeds = graphs.save_feeds(tmp_path / "feeds.npz", x=np.ones((16, 64), np.float32))
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"\x00")
    variants = {
        "reference": graphs.save(graphs.slow_matmul(2), tmp_path / "a.onnx"),
        "other": graphs.save(graphs.slow_matmul(3), tmp_path / "b.onnx"),
        "bad": bad,
    }
    seen = {}

    @contextmanager
    def step(place):
        seen[place] = []
        yield lambda done, total: seen[place].append((done, total))

    records = profile_variants(
        variants,
        feeds,
        parse_targets("cpu:1,cuda,mobile"),
        plan=QUICK,
        step=step,
    )
    records = json.loads(json.dumps(as_json(records)))
    for recipe in ("reference", "other"):
        assert set(records[recipe]) == {"cpu", "cuda", "mobile"}
        assert records[recipe]["cpu"]["kind"] == "measurement"
        assert records[recipe]["cuda"]["kind"] in ("not-measured", "measurement")
        assert records[recipe]["mobile"]["kind"] == "estimate"
    assert records["other"]["cpu"]["flops"] == 3 * 2 * 16 * 64 * 64
    assert records["other"]["cpu"]["ratio_to_reference"] is not None
    for target in ("cpu", "cuda", "mobile"):
        assert records["bad"][target]["kind"] == "failed"
        assert "bad.onnx" in records["bad"][target]["reason"]
    assert list(seen) == ["cpu", "cuda", "mobile"]
    for place in ("cpu", "mobile"):
        assert seen[place][-1][0] == seen[place][-1][1] > 1


def test_the_targets_share_one_look_at_each_file(tmp_path, monkeypatch):
    looks = []
    real = contract.examine
    monkeypatch.setattr(contract, "examine", lambda *a: looks.append(a[0]) or real(*a))
    feeds = graphs.save_feeds(tmp_path / "feeds.npz", x=np.ones((16, 64), np.float32))
    paths = [graphs.save(graphs.slow_matmul(n), tmp_path / f"{n}.onnx") for n in (2, 3)]
    variants = dict(zip(("reference", "other"), paths, strict=True))
    profile_variants(variants, feeds, parse_targets("cpu:1,cuda,mobile"), plan=QUICK)
    assert sorted(looks) == sorted(paths)


def test_unreadable_feeds_are_an_input_error(tmp_path):
    path = graphs.save(graphs.matmul(), tmp_path / "a.onnx")
    with pytest.raises(InputError, match=r"none\.npz"):
        profile_variants({"a": path}, tmp_path / "none.npz", parse_targets("mobile"))


@pytest.mark.long
def test_on_demand_the_record_says_where_the_time_goes(tmp_path):
    feeds = graphs.save_feeds(tmp_path / "feeds.npz", x=np.ones((16, 64), np.float32))
    path = graphs.save(graphs.slow_matmul(2), tmp_path / "a.onnx")
    record = profile_variants({"reference": path}, feeds, (cpu(1),), plan=QUICK, operators=True)
    measured = json.loads(json.dumps(as_json(record)))["reference"]["cpu"]
    assert measured["operator_times"]["by_operator"][0]["name"] == "MatMul"
    assert measured["roofline"]["efficiency"] > 0
    assert measured["peaks"]["threads"] == 1
