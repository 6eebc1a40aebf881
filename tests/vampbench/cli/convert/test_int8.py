"""Static INT8 from the command line: observers, memory, kept calibrations, upstream, bad audio."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper

from tests.tiny_graphs import product
from tests.vampbench.conftest import tone
from vampnet_models.family import VAMPNET

RATE_HZ = VAMPNET.sample_rate_hz


@pytest.fixture(scope="module")
def coarse_alone(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The coarse model and the encoder, in a folder of their own."""
    folder = tmp_path_factory.mktemp("alone")
    for name in ("coarse.onnx", "codec_encoder.onnx"):
        (folder / name).write_bytes((tiny / name).read_bytes())
    return folder / "coarse.onnx"


def record_of(path: Path) -> dict:
    return json.loads(path.with_name(f"{path.stem}.variant.json").read_text())


def test_each_observer_makes_another_variant(vampbench, coarse_alone, recordings, tmp_path):
    made = {}
    for observer in ("minmax", "percentile", "entropy", "mse"):
        out = tmp_path / f"{observer}.onnx"
        done = vampbench(
            *("int8", coarse_alone, "--observer", observer, "--audio", recordings, "-o", out)
        )
        assert done.code == 0, done.stderr
        assert "calibration takes about" in done.stderr
        record = record_of(out)
        assert record["calibration"]["observer"] == observer
        with np.load(tmp_path / f"{observer}.calibration.npz") as kept:
            seen = float(np.sum(kept["high"] - kept["low"]))
            made[observer] = float(np.sum(kept["finished_high"] - kept["finished_low"])) / seen
    assert made.pop("minmax") == 0
    # A second of sound has too few values for a percentile to leave any out.
    assert made["percentile"] == pytest.approx(1)
    assert 0.5 < made["mse"] < 0.9999 and 0.3 < made["entropy"] < 1.001
    coverage = record["calibration"]["coverage"]
    assert coverage["n_feeds"] == sum(coverage["classes"].values()) == 56
    assert len(coverage["lengths"]) == 3 and coverage["mask_ratios"][9] >= 2
    assert set(coverage["prompts"]) == {"everything", "periodic", "inpainting", "upper-codebooks"}


def test_a_calibration_of_another_graph_is_refused_by_hash(
    vampbench, tiny, coarse_alone, recordings, tmp_path
):
    kept = tmp_path / "kept.npz"
    command = ("int8", "--audio", recordings, "--calibration", kept)
    assert vampbench(*command, coarse_alone, "-o", tmp_path / "one.onnx").code == 0
    before = kept.read_bytes()
    assert vampbench(*command, coarse_alone, "-o", tmp_path / "two.onnx").code == 0
    done = vampbench(*command, tiny / "c2f.onnx", "-o", tmp_path / "c2f.onnx")
    assert (done.code, len(done.errors)) == (2, 1)
    assert f"error: {kept}: is the calibration of another graph (sha256 " in done.errors[0]
    assert kept.read_bytes() == before
    assert not (tmp_path / "c2f.onnx").exists()
    folder = vampbench(*command, tiny, "-o", tmp_path / "all")
    assert (folder.code, len(folder.errors)) == (2, 1)
    # One that lies beside the output from an earlier model is not used, and no reason to stop.
    (tmp_path / "c2f.calibration.npz").write_bytes(before)
    done = vampbench("int8", tiny / "c2f.onnx", "--audio", recordings, "-o", tmp_path / "c2f.onnx")
    assert done.code == 0
    assert (tmp_path / "c2f.calibration.npz").read_bytes() != before


def test_too_little_memory_is_refused_with_the_prediction(
    vampbench, coarse_alone, recordings, tmp_path
):
    command = ("int8", coarse_alone, "--audio", recordings, "-o", tmp_path / "out.onnx")
    done = vampbench(*command, "--max-memory", "50MB")
    assert (done.code, len(done.errors)) == (2, 1)
    assert "calibration would take" in done.errors[0]
    assert "50 MB are allowed" in done.errors[0] and "--max-memory" in done.errors[0]
    assert "feeds" not in done.stderr and "encoding" not in done.stderr
    assert not (tmp_path / "out.onnx").exists()
    wrong = vampbench(*command, "--max-memory", "much")
    assert (wrong.code, len(wrong.lines)) == (2, 1)
    assert "'much' is no size" in wrong.lines[0]


def test_upstream_variants_take_their_stage(vampbench, tiny, recordings, tmp_path):
    small = {}
    for name in ("codec_encoder", "coarse"):
        small[name] = tmp_path / f"{name}.int4.onnx"
        options = ("--bits", "4", "-o", small[name])
        assert vampbench("weights", tiny / f"{name}.onnx", *options).code == 0
    command = ("int8", tiny / "c2f.onnx", "--audio", recordings)
    assert vampbench(*command, "-o", tmp_path / "plain.onnx").code == 0
    named = [part for path in small.values() for part in ("--upstream", path)]
    done = vampbench(*command, *named, "-o", tmp_path / "chained.onnx")
    assert done.code == 0, done.stderr
    plain, chained = (
        record_of(tmp_path / f"{name}.onnx")["calibration"] for name in ("plain", "chained")
    )
    assert "coarse coarse.int4.onnx" in chained["upstream"]
    assert plain["sha256"] != chained["sha256"]
    assert chained["coverage"]["codes_from"].keys() == {"encoder", "coarse"}


@pytest.mark.parametrize(
    ("model", "upstream", "said"),
    [
        ("coarse", ["c2f"], "c2f does not come before coarse"),
        ("codec_encoder", ["codec_encoder"], "codec-encoder does not come before codec-encoder"),
        ("c2f", ["coarse", "coarse"], "is coarse already; give one of it"),
    ],
)
def test_upstream_must_come_before(vampbench, tiny, tmp_path, model, upstream, said):
    named = [part for name in upstream for part in ("--upstream", tiny / f"{name}.onnx")]
    done = vampbench("int8", tiny / f"{model}.onnx", *named, "-o", tmp_path / "out.onnx")
    assert (done.code, len(done.lines)) == (2, 1)
    assert said in done.lines[0]


def test_dynamic_takes_no_calibration(vampbench, tiny, tmp_path):
    done = vampbench(
        *("int8", tiny / "coarse.onnx", "--mode", "dynamic", "--observer", "mse"),
        *("-o", tmp_path / "out.onnx"),
    )
    assert (done.code, len(done.lines)) == (2, 1)
    assert "--observer: --mode dynamic calibrates nothing" in done.lines[0]


def test_settings_are_named_and_recorded(vampbench, tiny, recordings, tmp_path):
    out = tmp_path / "out.onnx"
    command = ("int8", tiny / "codec_encoder.onnx", "--audio", recordings, "-o", out)
    assert vampbench(*command, "--no-bias-correction").code == 0
    record = record_of(out)
    assert record["recipe"] == "int8-static"
    assert record["calibration"]["settings"] == {
        "activations": "u8",
        "rounding": "gptq",
        "bias correction": "off",
    }
    done = vampbench(*command, "--activations", "s8", "--bias-correction")
    assert done.code == 0, done.stderr
    record = record_of(out)
    assert record["recipe"] == "int8-static-s8-corrected"
    assert record["calibration"]["settings"]["activations"] == "s8"
    assert record["calibration"]["settings"]["bias correction"] == "on"
    native = vampbench(*command, "--activations", "s8", "--native")
    assert (native.code, len(native.lines)) == (2, 1)
    assert "--native: takes minmax ranges, u8 activations" in native.lines[0]
    dynamic = vampbench(*command[:2], "--mode", "dynamic", "--activations", "s8", "-o", out)
    assert (dynamic.code, len(dynamic.lines)) == (2, 1)
    assert "--activations: --mode dynamic calibrates nothing" in dynamic.lines[0]


def test_evaluation_audio_outside_the_ranges_is_told(vampbench, tiny, tmp_path):
    quiet, loud = tmp_path / "quiet", tmp_path / "loud"
    quiet.mkdir(), loud.mkdir()
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    soundfile.write(quiet / "tone.wav", 0.1 * np.sin(2 * np.pi * 100 * time_s), RATE_HZ)
    # So low that the same loudness takes full scale.
    rumble = np.sin(2 * np.pi * 5 * time_s)
    soundfile.write(loud / "rumble.wav", 0.1 * rumble, RATE_HZ)
    command = ("int8", tiny / "codec_encoder.onnx", "--audio", quiet)
    done = vampbench(*command, "--evaluation-audio", loud, "-o", tmp_path / "out.onnx")
    assert done.code == 0
    (line,) = [text for text in done.stderr.splitlines() if "outside the calibrated" in text]
    assert " more with less; calibrate on audio like it" in line
    # The calibration was kept beside the output, and the second look needed no other.
    assert (tmp_path / "out.calibration.npz").is_file()


KILLED_AFTER_A_FEED = """
import os, signal
from calibration.ranges import collect, kept_ranges
from vampbench.cli.main import main
save = kept_ranges.save
def killing(*given):
    save(*given)
    os.kill(os.getpid(), signal.SIGKILL)
kept_ranges.save = killing
main()
"""


def test_sigkill_loses_no_finished_feed(tiny, recordings, tmp_path):
    command = ["int8", str(tiny / "coarse.onnx"), "--audio", str(recordings)]
    command += ["-o", str(tmp_path / "out.onnx")]
    killed = [sys.executable, "-c", KILLED_AFTER_A_FEED, *command]
    assert subprocess.run(killed, capture_output=True, check=False).returncode == -signal.SIGKILL
    with np.load(tmp_path / "out.calibration.npz") as archive:
        facts = json.loads(str(archive["calibration.json"]))
    assert facts["n_feeds"] == 1
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".out.onnx.")]
    plain = [sys.executable, "-c", "from vampbench.cli.main import main; main()", *command]
    done = subprocess.run(plain, check=True, capture_output=True, text=True)
    assert "out.onnx" in done.stdout
    # What the killed one had begun to write is gone.
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_audio_that_cannot_calibrate(vampbench, tiny, tmp_path):
    encoder = tiny / "codec_encoder.onnx"

    def lines(folder: Path, *more: object) -> tuple[int, str]:
        done = vampbench("int8", encoder, "--audio", folder, *more, "-o", tmp_path / "out.onnx")
        return done.code, done.stdout + done.stderr

    folders = {name: tmp_path / name for name in ("short", "silent", "clipped", "one", "same")}
    for folder in folders.values():
        folder.mkdir()
    soundfile.write(folders["short"] / "a.wav", 0.1 * np.ones(800), RATE_HZ)
    soundfile.write(folders["silent"] / "a.wav", np.zeros(RATE_HZ), RATE_HZ)
    soundfile.write(folders["silent"] / "b.wav", np.zeros(30_000), RATE_HZ)
    tone(folders["one"] / "a.wav")
    for name in ("a.wav", "b.wav"):
        loud = soundfile.read(tone(folders["clipped"] / name))[0]
        soundfile.write(folders["clipped"] / name, np.clip(9 * loud, -1, 1), RATE_HZ)
    code, said = lines(folders["short"])
    assert code == 2 and "too little different audio" in said
    code, said = lines(folders["silent"])
    assert code == 2 and "no usable sound file (a.wav: silent and 1 more)" in said
    assert not (tmp_path / "out.onnx").exists()
    code, said = lines(folders["clipped"])
    assert code == 0 and "% of its samples are clipped" in said
    code, said = lines(folders["one"])
    assert code == 0 and "the two are not independent; add recordings" in said
    same = folders["same"] / "copy.wav"
    same.write_bytes((folders["one"] / "a.wav").read_bytes())
    code, said = lines(folders["one"], "--evaluation-audio", folders["same"])
    assert code == 2 and "nothing is left to calibrate on" in said


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_tables_are_taken_where_asked_for(vampbench, tmp_path, mode):
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["rows"], "lookup"),
            helper.make_node("MatMul", ["rows", "w"], ["y"], "product"),
        ],
        "generic",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 64])],
        [
            numpy_helper.from_array(np.random.default_rng(n).standard_normal(s, np.float32), name)
            for n, (name, s) in enumerate({"table": (4000, 64), "w": (64, 64)}.items())
        ],
    )
    source, feeds = tmp_path / "m.onnx", tmp_path / "feeds.npz"
    opsets = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), source)
    np.savez(feeds, ids=np.arange(0, 4000, 40))
    given = ("--feeds", feeds) if mode == "static" else ()
    plain, small = tmp_path / "plain.onnx", tmp_path / "small.onnx"
    done = vampbench("int8", source, "--mode", mode, *given, "-o", plain)
    assert done.code == 0, done.stderr
    assert "tables of 1.0 MB stay float: --tables stores their rows in 8 bits" in done.stderr
    done = vampbench("int8", source, "--mode", mode, "--tables", *given, "-o", small)
    assert done.code == 0, done.stderr
    assert "stay float" not in done.stderr
    assert record_of(small)["recipe"] == f"int8-{mode}-tables"
    assert small.stat().st_size < 0.35 * source.stat().st_size < 0.4 * plain.stat().st_size


@pytest.mark.parametrize("other", ["--native", "--backend=neural-compressor"])
def test_tables_do_not_go_with_what_leaves_them(vampbench, tiny, tmp_path, other):
    out = tmp_path / "out.onnx"
    done = vampbench("int8", tiny / "coarse.onnx", "--tables", other, "-o", out)
    assert done.code == 2
    assert "--tables" in done.stderr


def test_what_is_converted_otherwise_says_why(vampbench, tmp_path):
    rng, hidden = np.random.default_rng(0), 64
    shapes = {"w": (1, 4 * hidden, 32), "r": (1, 4 * hidden, hidden), "v": (hidden, 64)}
    graph = helper.make_graph(
        [
            helper.make_node("LSTM", ["x", "w", "r"], ["h"], "cell", hidden_size=hidden),
            helper.make_node("MatMul", ["h", "v"], ["y"], "head"),
        ],
        "generic",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["t", 1, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["t", 1, 1, 64])],
        [
            numpy_helper.from_array(rng.standard_normal(shape, np.float32) / 8, name)
            for name, shape in shapes.items()
        ],
    )
    source, feeds = tmp_path / "m.onnx", tmp_path / "feeds.npz"
    opsets = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), source)
    np.savez(feeds, x=rng.standard_normal((9, 1, 32), np.float32))
    given = ("int8", source, "--feeds", feeds, "-o")
    done = vampbench(*given, tmp_path / "u8.onnx")
    assert done.code == 0, done.stderr
    assert "weights: 1 int8, 1 int8-dynamic" in done.stdout
    assert "apart: 1 LSTM int8-dynamic: the integer LSTM takes the ranges of" in done.stdout
    done = vampbench(*given, tmp_path / "s8.onnx", "--activations", "s8")
    assert done.code == 0, done.stderr
    assert "float: 1 LSTM: the integer LSTM takes the ranges of" in done.stdout


def test_all_given_feeds_calibrate_and_verify_says_so(vampbench, tmp_path):
    source, feeds, out = tmp_path / "m.onnx", tmp_path / "feeds.npz", tmp_path / "out.onnx"
    product(source)
    x = np.random.default_rng(1).standard_normal((9, 64)).astype("f4")
    np.savez(feeds, **{"x/0": x, "x/1": 3 * x})
    done = vampbench("int8", source, "--feeds", feeds, "-o", out)
    assert done.code == 0, done.stderr
    assert "evaluates" not in done.stderr
    assert record_of(out)["calibration"]["n_feeds"] == 2
    done = vampbench("verify", source, out, "--feeds", feeds)
    assert done.code == 0, done.stderr
    assert "feeds.npz: calibrated out.onnx too" in done.stderr
    np.savez(feeds, **{"x/0": x, "x/1": 2 * x})
    assert "calibrated out.onnx" not in vampbench("verify", source, out, "--feeds", feeds).stdout
