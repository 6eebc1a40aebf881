"""What `bench/reliability/judge.py` calls right and wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bench.reliability.judge import Answers, Unrunnable, Wrong, answers, difference, judged
from vampnet_models.spec import IR_VERSION, OPSET

FEED = {"x": np.array([1.0, -2.0], np.float32)}


def model(path: Path, op: str = "Neg", output: str = "y") -> Path:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("x", output))
    graph = helper.make_graph([helper.make_node(op, ["x"], [output])], "g", [x], [y])
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)
    return path


@pytest.fixture
def reference(tmp_path: Path) -> Answers:
    return answers(model(tmp_path / "source.onnx"), [FEED])


def test_the_source_itself_is_right(tmp_path: Path, reference: Answers) -> None:
    assert judged(reference, tmp_path / "source.onnx", [FEED], random=False) == 0.0


def test_other_answers_have_an_error(tmp_path: Path, reference: Answers) -> None:
    other = model(tmp_path / "other.onnx", "Abs")
    error = judged(reference, other, [FEED], random=False)
    assert error == pytest.approx(np.sqrt(2.0 / 2.5))
    assert judged(reference, other, [FEED], random=True) == 0.0


def test_another_name_is_wrong(tmp_path: Path, reference: Answers) -> None:
    renamed = model(tmp_path / "renamed.onnx", output="z")
    with pytest.raises(Wrong, match=r"interface changed: y: .*, z: "):
        judged(reference, renamed, [FEED], random=False)


def test_what_does_not_load_is_unrunnable(tmp_path: Path) -> None:
    with pytest.raises(Unrunnable, match="NoSuchOperator"):
        answers(model(tmp_path / "m.onnx", "NoSuchOperator"), [FEED])


def test_values_that_are_no_longer_finite_are_wrong() -> None:
    x = np.array([1.0, np.inf, np.nan])
    assert difference(x, x.copy()) == 0.0
    with pytest.raises(Wrong, match="1 of 3 values"):
        difference(x, np.array([np.nan, np.inf, np.nan]))
    with pytest.raises(Wrong, match="infinities changed"):
        difference(x, np.array([1.0, -np.inf, np.nan]))


def test_sequences_optionals_and_strings_are_compared() -> None:
    one = [np.array([3.0, 4.0]), np.array([1.0])]
    assert difference(one, [one[0], one[1] * 1.5]) == pytest.approx(0.5)
    with pytest.raises(Wrong, match="sequence of 2 became one of 1"):
        difference(one, one[:1])
    with pytest.raises(Wrong, match="optional"):
        difference(None, one[0])
    with pytest.raises(Wrong, match=r"shape \[2\] became \[1\]"):
        difference(*one)
    assert difference(np.array(["a", "b"], object), np.array(["a", "c"], object)) == 0.5
