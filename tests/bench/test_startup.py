"""What a start costs, as a person asks for it."""

import re
import runpy


def test_every_call_is_told_with_its_cpu_seconds(small_models, monkeypatch, capsys):
    model = small_models / "codec_encoder.onnx"
    monkeypatch.setattr("sys.argv", ["startup", str(model), "--rounds", "1"])
    runpy.run_module("bench.startup", run_name="__main__")
    told = re.findall(r"^(\d+\.\d\d) s  (.+)$", capsys.readouterr().out, re.M)
    assert [name for _, name in told] == [
        "python",
        "import vampbench",
        "vampbench --version",
        "vampbench --help",
        "vampbench fp16 --help",
        "vampbench inspect codec_encoder.onnx",
    ]
    # How much is the machine's matter; that it was measured is not.
    assert all(float(seconds) > 0 for seconds, _ in told)
