"""Every command: help with an example, JSON alone on stdout, quiet pipes."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import onnx_ir as ir
import pytest

from profiles.measure.stats import Verdict
from vampbench.cli.commands import SECTIONS
from vampbench.cli.main import cli
from vampnet_models.onnxfile.artifact import load_model, save_model

MAIN = "from vampbench.cli.main import main; main()"


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_help_has_an_example_and_json(vampbench, name):
    done = vampbench(name, "--help")
    assert done.code == 0
    assert f"  vampbench {name} " in done.stdout
    assert "--json" in done.stdout


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_option_is_explained(name):
    options = [p for p in cli.commands[name].params if isinstance(p, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_the_help_lists_every_command_once_by_section(vampbench):
    lines = vampbench("--help").stdout.splitlines()
    listed = [each.name for section in SECTIONS.values() for each in section]
    assert sorted(listed) == sorted(cli.commands)
    for name in listed:
        assert sum(line.startswith(f"  {name} ") for line in lines) == 1
    assert not any(line.endswith("...") for line in lines[1:])


def test_json_stands_alone_on_stdout(vampbench, tiny, recordings, tmp_path):
    small = tmp_path / "small.onnx"
    for arguments, key in (
        (("inspect", tiny / "coarse.onnx"), "models"),
        (("weights", tiny / "coarse.onnx", "-o", small), "variants"),
        (("fuse", tiny, "-o", tmp_path / "fused"), "variants"),
        (("samples", "-o", tmp_path / "samples"), "files"),
    ):
        done = vampbench(*arguments, "--json")
        assert done.code == 0
        assert done.result[key]


def test_verify_judges_by_the_threshold(vampbench, tiny, recordings, tmp_path):
    encoder, small = tiny / "codec_encoder.onnx", tmp_path / "small.onnx"
    assert vampbench("weights", encoder, "-o", small).code == 0
    command = ("verify", encoder, small, "--audio", recordings, "--json")
    done = vampbench(*command)
    found = done.result
    assert (done.code, found["status"], found["reason"]) == (0, "ok", None)
    share = found["accuracy"]["token_agreement"]
    missed = vampbench(*command, "--min-agreement", f"{share + 0.01}")
    assert missed.code == 1
    assert missed.result["status"] == "missed"
    assert missed.answer["errors"] == [f"{small}: missed: {missed.result['reason']}"]
    unsure = vampbench(*command, "--max-cost-db", "50")
    assert (unsure.code, unsure.result["status"]) == (1, "missed")
    assert "is not shown to stay within the 50 asked for: " in unsure.result["reason"]


def test_verify_tells_sampled_agreement_and_where_it_cannot(vampbench, tiny, recordings):
    coarse = tiny / "coarse.onnx"
    command = ("verify", coarse, coarse, "--audio", recordings)
    done = vampbench(*command, "--min-sampled", "0.5")
    assert done.code == 1
    assert "sampled          100.00 % (floor " in done.stdout
    assert "worst recording" in done.stdout
    assert "missed: sampled agreement 1.0000 is not shown to reach the 0.5 " in done.stderr
    assert "more" in done.stderr
    assert vampbench(*command).code == 0


def test_verify_writes_golden_vectors_and_judges_by_them(vampbench, tiny, recordings, tmp_path):
    encoder, small = tiny / "codec_encoder.onnx", tmp_path / "small.onnx"
    assert vampbench("weights", encoder, "-o", small).code == 0
    golden = tmp_path / "golden.npz"
    command = ("verify", encoder, small, "--json")
    first = vampbench(*command, "--audio", recordings, "--write-golden", golden)
    again = vampbench(*command, "--golden", golden)
    assert (first.code, again.code) == (0, 0)
    judged, again_judged = first.result["accuracy"], again.result["accuracy"]
    assert again_judged["notes"] == ["no cost: golden vectors hold no recordings"]
    costs = {name: None for name in judged if name.startswith("cost_")}
    assert again_judged == judged | costs | {"notes": again_judged["notes"]}
    both = vampbench(*command, "--golden", golden, "--audio", recordings)
    assert both.code == 2
    assert "leave out audio" in both.stderr
    assert vampbench("verify", small, small, "--golden", golden).code == 2


def test_profile_compares_with_the_first_model(vampbench, generic, tmp_path):
    fused = tmp_path / "fused.onnx"
    assert vampbench("fuse", generic / "product.onnx", "-o", fused).code == 0
    models = (generic / "product.onnx", fused)
    done = vampbench("profile", *models, "--target", "cpu:1,mobile", "--rounds", 3, "--json")
    assert done.code == 0
    (model,) = done.result["models"]
    profiles = {v["recipe"]: v["profiles"] for v in model["variants"]}
    assert list(profiles) == ["product", "fused"]
    assert profiles["product"]["cpu"]["ratio_to_reference"] == 1
    assert profiles["fused"]["cpu"]["kind"] == "measurement"
    assert profiles["fused"]["mobile"]["kind"] == "estimate"


def test_profile_compares_with_an_earlier_one(vampbench, generic, tmp_path):
    then, now = tmp_path / "then.json", tmp_path / "now.json"
    options = ("--target", "cpu:1", "--rounds", 3)
    assert vampbench("profile", generic / "product.onnx", *options, "-o", then).code == 0
    done = vampbench(
        "profile", generic / "product.onnx", *options, "--compare", then, "--json", "-o", now
    )
    assert done.code == 0, done.stderr
    (found,) = done.result["compared"]
    assert (found["recipe"], found["target"]) == ("product", "cpu")
    assert found["verdict"] in tuple(Verdict)
    assert found["machine"]["value"] > 0 and found["levelled"]["low"] <= found["levelled"]["high"]
    content = json.loads(then.read_text())
    content["host"]["cpu"] = "another"
    then.write_text(json.dumps(content))
    refused = vampbench("profile", generic / "product.onnx", *options, "--compare", then)
    assert refused.code == 2 and "--other-machine" in refused.stderr
    then.write_text("[")
    broken = vampbench("profile", generic / "product.onnx", *options, "--compare", then)
    assert broken.code == 2 and "no readable profile" in broken.stderr


def test_a_pipe_gets_one_line_per_step(vampbench, tiny, tmp_path):
    done = vampbench("fp16", tiny / "coarse.onnx", "-o", tmp_path / "out.onnx")
    assert done.stderr.startswith("coarse: fp16: ")
    assert len(done.stderr.splitlines()) == 1
    assert "" not in done.stdout.splitlines()


def test_inspect_says_what_a_model_is(vampbench, tiny):
    done = vampbench("inspect", tiny, "--json")
    found = {m["path"].rsplit("/", 1)[-1]: m for m in done.result["models"]}
    assert found["coarse.onnx"]["role"] == "coarse"
    assert found["codec_decoder.onnx"]["role"] == "codec-decoder"
    assert found["coarse.onnx"]["opset"] == 21


def test_synth_writes_what_it_says(vampbench, tmp_path):
    done = vampbench("synth", "-o", tmp_path / "models", "--json")
    written = done.result["models"]
    assert sorted(m["bytes"] for m in written) == sorted(
        p.stat().st_size for p in (tmp_path / "models").iterdir()
    )


def test_a_wrong_command_exits_with_two(vampbench):
    done = vampbench("frobnicate")
    assert done.code == 2
    assert "No such command 'frobnicate'" in done.stderr


def test_emulated_fp16_is_in_the_json(vampbench, tiny, recordings, tmp_path):
    encoder, half = tiny / "codec_encoder.onnx", tmp_path / "half.onnx"
    done = vampbench("fp16", encoder, "--emulate", "--audio", recordings, "-o", half, "--json")
    assert done.code == 0
    found = done.result
    assert [each["recipe"] for each in found["variants"]] == ["fp16"]
    reports = found["emulated"]
    assert set(reports) == {"weights rounded", "every result rounded"}
    assert all(report["nonfinite"] == 0 for report in reports.values())
    assert all(0.5 < report["token_agreement"] <= 1 for report in reports.values())


def test_a_variant_that_gives_nan_fails_and_says_so(vampbench, tiny, recordings, tmp_path):
    decoder = load_model(tiny / "codec_decoder.onnx")
    for value in decoder.graph.initializers.values():
        if value.const_value.dtype == ir.DataType.FLOAT and value.const_value.size > 2048:
            spoilt = np.full(value.const_value.shape.numpy(), np.nan, np.float32)
            value.const_value = ir.Tensor(spoilt, name=value.name)
    save_model(decoder, tmp_path / "spoilt.onnx")
    command = ("verify", tiny / "codec_decoder.onnx", tmp_path / "spoilt.onnx")
    done = vampbench(*command, "--audio", recordings)
    assert done.code == 1
    assert "outputs are NaN or infinite" in done.stdout
    whole = vampbench("verify", *(tiny / "codec_decoder.onnx",) * 2, "--audio", recordings)
    assert whole.code == 0
    assert "no NaN or infinite values in the outputs" in whole.stdout


def test_a_graph_that_onnxruntimes_fusion_stumbles_over_is_told(vampbench, tiny, tmp_path):
    fused = tmp_path / "out" / "fused.onnx"
    done = vampbench("fuse", tiny / "coarse.onnx", "--backend", "onnxruntime", "-o", fused)
    assert done.code == 1
    assert "onnxruntime failed: TypeError" in done.lines[-1]
    assert "fusion_simplified_layernorm.py" in done.lines[-1]
    assert not fused.exists()


def test_modes_of_another_backend_are_refused_here(vampbench, tiny, tmp_path):
    out = tmp_path / "out.onnx"
    for command in (("int8", "--mode", "smoothquant"), ("weights", "--method", "awq")):
        done = vampbench(*command, tiny / "coarse.onnx", "-o", out)
        assert done.code == 2
        assert "--backend neural-compressor" in done.stderr
    done = vampbench(
        "int8", tiny / "coarse.onnx", "--backend", "neural-compressor",
        "--inc-python", tmp_path / "none", "-o", out,
    )  # fmt: skip
    assert done.code == 2
    assert "make env-inc" in done.lines[-1]
    assert not out.exists()


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_a_command_that_fails_says_so_in_json_too(vampbench, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    done = vampbench(name, "--nosuch", "--json")
    (line,) = done.stderr.splitlines()
    message = line.removeprefix("error: ")
    told = {"command": name, "result": None, "warnings": [], "errors": [message]}
    assert done.answer == {"schema": 1} | told
    assert done.code == 2


def test_the_error_of_an_input_is_json_once(vampbench, tiny, tmp_path):
    done = vampbench("inspect", tmp_path / "absent.onnx", "--json")
    assert done.code == 2 and done.answer["result"] is None
    (message,) = done.answer["errors"]
    assert f"error: {message}" == done.stderr.strip()
    assert vampbench("inspect", tmp_path / "absent.onnx").stdout == ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("options", [["--json"], []])
def test_a_full_stdout_is_one_line(tiny, options, unbuffered):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "inspect", tiny / "coarse.onnx", *options],
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            text=True,
            check=False,
        )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: No space left on device")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_error(tiny, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "inspect", tiny / "coarse.onnx", "--json"],
            stdout=closed,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_quiet_stands_before_a_command_or_behind_it(vampbench, tiny, tmp_path):
    for number, (before, behind) in enumerate(((["--quiet"], []), ([], ["-q"]))):
        out = tmp_path / f"{number}.onnx"
        done = vampbench(*before, "weights", tiny / "coarse.onnx", "-o", out, *behind)
        assert (done.code, done.stderr) == (0, "")
        assert out.name in done.stdout
    told = vampbench("weights", tiny / "coarse.onnx", "-o", tmp_path / "told.onnx")
    assert told.stderr != ""


def _imported(*words: str, **environment: str) -> set[str]:
    """The modules that one call of the command line imports."""
    code = (
        f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); {MAIN}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True, text=True, check=True, env=os.environ | environment,
    )  # fmt: skip
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["--help"], {}),
        (["--version"], {}),
        (
            [],
            {"_VAMPBENCH_COMPLETE": "bash_complete", "COMP_WORDS": "vampbench ", "COMP_CWORD": "1"},
        ),
    ],
)
def test_what_lists_commands_imports_none(words, environment):
    heavy = {
        "numpy",
        "onnx",
        "onnx_ir",
        "onnxruntime",
        "soundfile",
        "jinja2",
        "optimize",
        "profiles",
    }
    assert _imported(*words, **environment) & heavy == set()


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        (["inspect"], {"onnxscript", "soundfile", "jinja2", "profiles.report", "optimize.recipes"}),
        (["weights", "-o", "out.onnx"], {"jinja2", "profiles.report", "profiles.measure.measure"}),
        (["fp16", "-o", "out.onnx"], {"jinja2", "profiles.report", "profiles.measure.measure"}),
    ],
)
def test_a_command_imports_what_it_needs(tiny, tmp_path, monkeypatch, words, unneeded):
    monkeypatch.chdir(tmp_path)
    found = _imported(*words, str(tiny / "coarse.onnx"))
    assert "onnx_ir" in found
    assert found & unneeded == set()


def test_the_list_says_what_each_command_says_of_itself():
    for each in itertools.chain.from_iterable(SECTIONS.values()):
        assert each.help == cli.commands[each.name].get_short_help_str(limit=1000)


def test_a_shell_completes_commands_and_options(vampbench, monkeypatch):
    monkeypatch.setenv("_VAMPBENCH_COMPLETE", "bash_complete")
    for words, expected in (
        ("vampbench ove", "plain,overview"),
        ("vampbench --q", "plain,--quiet"),
        ("vampbench run --rou", "plain,--rounds"),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        assert vampbench().stdout.split() == [expected]


def test_the_help_names_streams_colours_and_completion(vampbench):
    said = vampbench("--help").stdout
    for name in ("stderr", "--quiet", "NO_COLOR", "COLUMNS", "bash_source", "--version"):
        assert name in said
