"""What `qnn` says of a compiler's findings; a stand-in compiles, so the extra is not needed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vampbench.api.devices import qnn
from vampnet_models.errors import InputError
from vampnet_models.records.evidence import Compiled, Emulated
from vampnet_models.records.profiles import Refusal

MADE = Compiled(
    soc="a chip",
    input_shapes={"x": (1, 8)},
    nodes=10,
    supported=8,
    node_share=0.8,
    flops=100,
    flops_share=0.9,
    partitions=2,
    qnn_operators=30,
    context_bytes=2_000_000,
    compile_s=1.0,
    refusals=(Refusal("Erf", "not supported", 2, 10),),
    unnamed=0,
    emulated=None,
    not_emulated="not asked for",
)
TOKENS = Emulated("tokens", 0.75, 0.5, 1.0, 1_200, 2, (1.0, 1.0))
SOUND = Emulated("si_sdr_db", 30.25, 40.0, 35.0, 1_200, 2, (1.0, 1.0))


@pytest.fixture
def compiling(monkeypatch):
    """Let the compiler give these, one for each variant."""

    def give(*found):
        waiting = list(found)

        def compiled(*_, **__):
            each = waiting.pop(0)
            if isinstance(each, Exception):
                raise each
            return each

        monkeypatch.setattr(qnn, "compile_variant", compiled)
        monkeypatch.setattr(qnn, "unavailable", lambda: None)
        monkeypatch.setattr(qnn, "PACKAGE", "numpy")

    return give


def test_each_figure_stands_under_its_evidence(vampbench, generic, compiling, tmp_path):
    path, out = generic / "product.onnx", tmp_path / "qnn.json"
    compiling(MADE)
    done = vampbench("qnn", path, "-o", out)
    assert done.code == 0
    assert [line.strip() for line in done.stdout.splitlines()] == [
        str(path),
        "compiled    for a chip: 8 of 10 nodes (90.00 % of the FLOPs) in 2 parts, context binary "
        "2.00 MB",
        "refused     2 Erf: not supported",
        "emulated    no: not asked for",
    ]
    record = json.loads(out.read_text())
    assert record["variants"][str(path)]["evidence"] == "compiled"


def test_a_variant_that_does_not_compile_is_told_and_the_others_go_on(
    vampbench, generic, compiling, tmp_path
):
    path = generic / "product.onnx"
    others = [tmp_path / f"{i}.onnx" for i in range(3)]
    for each in others:
        each.write_bytes(path.read_bytes())
    compiling(
        replace(MADE, emulated=TOKENS, partitions=1),
        InputError("no memory"),
        replace(MADE, emulated=SOUND),
    )
    done = vampbench("qnn", path, *others, "--json")
    assert done.code == 1 and done.errors == ["error: no memory"]
    assert "in 1 part, " in done.stderr
    assert "token agreement 75.00 % (1,200 tokens); on the CPU 100.00 %" in done.stderr
    assert "SI-SDR 30.2 dB to FP32; the CPU has 35.0 dB; 40.0 dB to the CPU" in done.stderr
    kinds = {path: each["kind"] for path, each in done.result["variants"].items()}
    assert kinds == dict(zip(map(str, others), ("compiled", "failed", "compiled"), strict=True))
    assert done.answer["errors"] == ["no memory"]
