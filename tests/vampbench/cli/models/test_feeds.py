import json

import numpy as np
import pytest
from onnx import TensorProto, helper

from calibration.feeds import source as sources
from tests import tiny_graphs
from vampnet_models.records.npz import read_npz, write_npz


@pytest.fixture(autouse=True)
def _no_audio(monkeypatch):
    """Nothing here is fed with recordings: none may be read."""

    def refuse(*_):
        raise AssertionError("audio was read")

    monkeypatch.setattr(sources, "load_audio", refuse)


@pytest.fixture
def model(tmp_path):
    """A model with a state: `x float32 [n, 64]`, `state float32 [1, 64]`, `k int64 []`."""
    weight = np.random.default_rng(0).standard_normal((64, 64)).astype("f4") / 6
    tensor = tiny_graphs.tensor
    nodes = [
        helper.make_node("Add", ["x", "state"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["h"], "one"),
        helper.make_node("Cast", ["k"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["h", "f"], ["y"]),
    ]
    inputs = [tensor("x", ["n", 64]), tensor("state", [1, 64]), tensor("k", [], TensorProto.INT64)]
    outputs = [tensor("y", ["n", 64])]
    return tiny_graphs.write(tmp_path / "m.onnx", nodes, inputs, outputs, {"w": weight})


def test_a_template_is_taken_at_once(vampbench, model, tmp_path):
    feeds, out = tmp_path / "f.npz", tmp_path / "m.int8.onnx"
    done = vampbench("feeds", model, "--samples", 4, "-o", feeds)
    assert done.code == 0, done.stderr
    assert "state  float32 [1, 64], declared [1, 64]" in done.stdout
    arrays = read_npz(feeds)
    assert set(arrays) == {f"{name}/{i}" for name in ("x", "state", "k") for i in range(4)}
    assert arrays["k/0"].dtype == np.int64 and arrays["x/0"].dtype == np.float32
    done = vampbench("int8", model, "--feeds", feeds, "-o", out)
    assert done.code == 0, done.stderr
    assert "m: feeds: 4 of f.npz calibrate" in done.stderr
    done = vampbench("verify", model, out, "--feeds", feeds)
    assert done.code == 0, done.stderr
    assert "m: feeds: 2 of f.npz judge" in done.stderr
    assert "calibrated m.int8.onnx too" in done.stderr


def test_a_file_that_is_there_is_kept_unless_forced(vampbench, model, tmp_path):
    feeds = tmp_path / "f.npz"
    write_npz(feeds, {"x": np.ones((1, 64), "f4")})
    done = vampbench("feeds", model, "-o", feeds)
    assert (done.code, len(done.lines)) == (2, 1) and "is there already" in done.lines[0]
    assert set(read_npz(feeds)) == {"x"}
    assert vampbench("feeds", model, "--force", "-o", feeds).code == 0
    assert "k/1" in read_npz(feeds)


def test_a_template_is_the_same_of_the_same_seed(vampbench, model, tmp_path):
    paths = [tmp_path / f"{name}.npz" for name in "abc"]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        done = vampbench("feeds", model, "--samples", 1, "--seed", seed, "--json", "-o", path)
        assert done.code == 0, done.stderr
    found = json.loads(done.stdout)["result"]
    assert found["samples"] == 1
    assert found["inputs"][0] == {
        "name": "x", "dtype": "float32", "shape": [1, 64], "declared": ["n", 64]
    }  # fmt: skip
    one, same, other = (read_npz(path) for path in paths)
    assert set(one) == {"x", "state", "k"}
    assert all((one[name] == same[name]).all() for name in one)
    assert (one["x"] != other["x"]).any()


def test_a_template_that_does_not_run_says_so(vampbench, tmp_path):
    node = helper.make_node("Reshape", ["x", "s"], ["y"])
    weights = {"s": np.array([1, 7])}
    path = tiny_graphs.write(
        tmp_path / "m.onnx",
        [node],
        [tiny_graphs.tensor("x", [1, "n"])],
        [tiny_graphs.tensor("y", [1, 7])],
        weights,
    )
    done = vampbench("feeds", path, "-o", tmp_path / "f.npz")
    assert done.code == 0
    assert "runs with no random input" in done.stderr
    assert read_npz(tmp_path / "f.npz")["x/0"].shape == (1, 16)


def test_what_is_no_template_is_refused(vampbench, model, tmp_path):
    done = vampbench("feeds", model, "-o", tmp_path / "f.json")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "give a name that ends so" in done.lines[0]
    node = helper.make_node("Identity", ["w"], ["y"])
    output = tiny_graphs.tensor("y", [3])
    bare = tiny_graphs.write(tmp_path / "b.onnx", [node], [], [output], {"w": np.ones(3, "f4")})
    done = vampbench("feeds", bare, "-o", tmp_path / "f.npz")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "takes no inputs" in done.lines[0]
    assert not (tmp_path / "f.npz").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("fp16", "--measure", "--emulate"),
        ("weights", "--bits", 4, "--method", "gptq"),
        ("npu", "--precision", "a8w8"),
    ],
)
def test_what_calibrates_takes_feeds(vampbench, model, tmp_path, command):
    feeds = tmp_path / "f.npz"
    assert vampbench("feeds", model, "-o", feeds).code == 0
    done = vampbench(command[0], model, *command[1:], "--feeds", feeds, "-o", tmp_path / "o.onnx")
    assert done.code == 0, done.stderr
    assert "m: feeds: 2 of f.npz calibrate" in done.stderr
    assert "feeds are random" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [("fp16",), ("weights",), ("int8", "--mode", "dynamic"), ("npu", "--precision", "fp16")],
)
def test_feeds_that_nothing_is_done_with_are_refused(vampbench, model, tmp_path, command):
    feeds, out = tmp_path / "f.npz", tmp_path / "o.onnx"
    assert vampbench("feeds", model, "-o", feeds).code == 0
    done = vampbench(*command[:1], model, *command[1:], "--feeds", feeds, "-o", out)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "calibrates nothing" in done.lines[0] and "leave out --feeds" in done.lines[0]
    assert not out.exists()


def test_feeds_for_judging_are_told_apart(vampbench, model, tmp_path):
    feeds, judging, out = tmp_path / "f.npz", tmp_path / "j.npz", tmp_path / "m.int8.onnx"
    assert vampbench("feeds", model, "-o", feeds).code == 0
    arrays = read_npz(feeds)
    write_npz(judging, {name: values * 9 for name, values in arrays.items()})
    done = vampbench("int8", model, "--feeds", feeds, "--evaluation-feeds", judging, "-o", out)
    assert done.code == 0, done.stderr
    assert "outside" in done.stderr
    done = vampbench("verify", model, out, "--evaluation-feeds", judging)
    assert done.code == 0, done.stderr
    assert "m: feeds: 2 of j.npz judge" in done.stderr and "calibrated" not in done.stderr
    golden = tmp_path / "g.npz"
    assert vampbench("verify", model, out, "--feeds", feeds, "--write-golden", golden).code == 0
    done = vampbench("verify", model, out, "--feeds", feeds, "--golden", golden)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "leave out audio and feeds" in done.lines[0]


def test_random_feeds_are_called_so_and_no_audio_is_read(vampbench, model, tmp_path):
    out = tmp_path / "m.fp16.onnx"
    assert vampbench("fp16", model, "-o", out).code == 0
    done = vampbench("verify", model, out)
    assert done.code == 0, done.stderr
    assert done.stderr.count("feeds are random, free sizes") == 1
    done = vampbench(
        "run", model, "--recipes", "fp16", "--target", "mobile", "-o", tmp_path / "run"
    )
    assert done.code == 0, done.stderr
    assert "m: feeds are random, free sizes" in done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["audio_set"]["name"] == "none"


@pytest.mark.long
def test_a_search_calibrates_on_half_and_judges_on_half(vampbench, model, tmp_path):
    feeds, out = tmp_path / "f.npz", tmp_path / "out"
    assert vampbench("feeds", model, "--samples", 4, "-o", feeds).code == 0
    models = tmp_path / "models"
    models.mkdir()
    model.rename(models / model.name)
    bounds = ("--min-agreement", 0.1, "--rounds", 3)
    done = vampbench("tune", models, "--feeds", feeds, *bounds, "-o", out)
    assert done.code == 0, done.stderr
    assert "m: feeds: 2 of f.npz calibrate, 2 of f.npz judge" in done.stderr
    results = json.loads((out / "results.json").read_text())
    assert results["audio_set"]["calibration_s"] == 0
    (variant,) = results["models"][0]["variants"]
    calibration = variant["record"]["calibration"]
    assert calibration is None or calibration["n_feeds"] == 2
