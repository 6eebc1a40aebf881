"""Judge one tool's model, in a process that may crash.

    python -m bench.accuracy.judging TRUTH.pickle MODEL OUT.json [INTERPRETER]

INTERPRETER runs a MODEL of OpenVINO. Where 8-bit products saturate (x86 without VNNI), no tool is
judged by that: sums are exact as in our own models, or where the runtime has no exact ones, each
quantized product is computed in float, which is what it stands for.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

from bench.accuracy.openvino_session import OpenVinoSession
from optimize.precision.exact import ask_for_exact_products
from optimize.truth.accuracy import Truth, judge
from optimize.truth.answers import reduce_answer
from profiles.host import describe_host
from vampnet_models.errors import WorkbenchError, contained
from vampnet_models.onnxfile.artifact import load_model, save_model, write_text
from vampnet_models.onnxfile.exact import is_exact
from vampnet_models.onnxfile.session import Session, open_session
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.generic import as_json

_AS_IT_IS, _EXACT, _FLOAT = "as the runtime has them", "exact", "in float"


def judged(truth: Truth, open_variant: Callable[[], Session]) -> AccuracyReport:
    """What a model says to the reference's feeds, and its costs. Raises InputError."""
    session, spec = open_variant(), truth.reference.spec
    answers = (reduce_answer(spec, feed, session.run(feed), True, False) for feed in truth.feeds)
    return judge(truth, answers, lambda: session)


def openers(model: Path) -> list[tuple[str, Callable[[], Session]]]:
    """Ways to open an ONNX model, the best first, with what they do to sums of 8-bit products.

    Raises InputError where the runtime does not open it as a user would.
    """
    open_session(model)
    if is_exact(model) or not describe_host().saturates:
        return [(_EXACT, lambda: open_session(model))]
    graph = load_model(model)
    in_float = (_FLOAT, lambda: open_session(model, graph_optimization="basic"))
    if ask_for_exact_products(graph):
        return [in_float]
    asking = model.with_name("asking.onnx")
    save_model(graph, asking)
    if not is_exact(asking):
        return [(_AS_IT_IS, lambda: open_session(model))]
    return [(_EXACT, lambda: open_session(asking)), in_float]


def _main(truth_path: Path, model: Path, out: Path, interpreter: Path | None) -> None:
    """Write the first judgement that comes to its end; else say last why none does."""
    truth: Truth = pickle.loads(truth_path.read_bytes())
    try:
        with contained():
            ways = openers(model) if interpreter is None else [_of_openvino(model, interpreter)]
            for sums, open_variant in ways:
                try:
                    found = judged(truth, open_variant)
                except WorkbenchError:
                    if (sums, open_variant) == ways[-1]:
                        raise
                    continue
                content = {"sums": sums, "accuracy": as_json(found)}
                write_text(out, json.dumps(content, allow_nan=False))
                return
    except WorkbenchError as error:
        sys.exit(str(error))


def _of_openvino(model: Path, interpreter: Path) -> tuple[str, Callable[[], Session]]:
    session = OpenVinoSession(model, interpreter)
    return _AS_IT_IS, lambda: session


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:4]), Path(sys.argv[4]) if len(sys.argv) > 4 else None)
