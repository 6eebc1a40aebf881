"""The predicted memory of a calibration against what it really takes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from calibration.ranges import memory
from calibration.ranges.collect import Terms, collect_channel_ranges
from tests.calibration.ranges.test_collect import feeds_of, write_model
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import save_model
from vampnet_models.spec import IR_VERSION, OPSET

LENGTH = 500_000
TENSOR_BYTES = 4 * LENGTH * 4
COUNT = 24

RUN = """
import json, sys
from pathlib import Path
import numpy as np
from calibration.ranges.collect import Terms, collect_channel_ranges
from profiles.measure.child import peak_rss_bytes
observer, n_feeds, names = sys.argv[2], int(sys.argv[3]), sys.argv[4:]
told = []
rng = np.random.default_rng(0)
one = rng.standard_normal((1, 4, LENGTH)).astype(np.float32)
collect_channel_ranges(
    Path(sys.argv[1]),
    [{"x": one}] * n_feeds,
    dict.fromkeys(names, 1),
    observer,
    terms=Terms(on_prediction=told.append),
)
print(json.dumps([peak_rss_bytes(), told[0].peak_bytes]))
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 nodes in a row, whose tensors are 8 MB each."""
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([1, 4, "t"]))
    nodes, value = [], x
    for number in range(COUNT):
        nodes.append(ir.node("Softplus", [value], outputs=[ir.Value(name=f"t{number}")]))
        value = nodes[-1].outputs[0]
    value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([1, 4, "t"])
    graph = ir.Graph([x], [value], nodes=nodes, opset_imports={"": OPSET}, name="chain")
    path = tmp_path_factory.mktemp("chain") / "chain.onnx"
    save_model(ir.Model(graph, ir_version=IR_VERSION), path)
    return path


def peak_and_prediction(path: Path, observer: str, n_feeds: int) -> tuple[int, int]:
    names = [f"t{number}" for number in range(COUNT)]
    source = RUN.replace("LENGTH", str(LENGTH))
    command = [sys.executable, "-c", source, str(path), observer, str(n_feeds), *names]
    done = subprocess.run(command, check=True, capture_output=True)
    peak, predicted = json.loads(done.stdout)
    return peak, predicted


def test_the_peak_does_not_grow_with_samples_and_lies_below_the_prediction(chain: Path) -> None:
    few, predicted = peak_and_prediction(chain, "percentile", 1)
    many, _ = peak_and_prediction(chain, "percentile", 3)
    # Two more feeds have 48 tensors; the allocator alone moves the peak by two or three.
    assert many - few < 5 * TENSOR_BYTES
    assert many < predicted < 2.5 * many
    minmax, told = peak_and_prediction(chain, "minmax", 3)
    assert minmax < told < predicted


def test_live_tensors_are_those_of_the_graphs_order(chain: Path) -> None:
    feed = {"x": np.ones((1, 4, LENGTH), np.float32)}
    found = memory.predict(chain, feed, {"t5": 1}, "minmax", 0)
    # A node's input and its output, and the scalars of what is observed.
    assert found.tensors_bytes == pytest.approx(2 * TENSOR_BYTES, rel=0.01)
    assert found.largest_bytes == found.group_bytes == 0
    # The axes of the reductions.
    assert found.weights_bytes < 100
    histograms = memory.predict(chain, feed, {"t5": 1}, "mse", 1)
    assert histograms.largest_bytes == histograms.group_bytes == TENSOR_BYTES


def test_the_parts_that_are_told_add_up_to_the_peak(chain: Path) -> None:
    feed = {"x": np.ones((1, 4, LENGTH), np.float32)}
    found = memory.predict(chain, feed, {"t5": 1}, "mse", 10**8)
    total, *parts = (int(n.replace(",", "")) for n in re.findall(r"([\d,]+) MB", found.describe()))
    assert total == sum(parts)
    assert total == pytest.approx(found.peak_bytes / 1e6, abs=3)
    assert "values fetched at once 100 MB" in found.describe()
    assert " 0 MB" not in found.describe()


def test_what_does_not_fit_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    runs: list[int] = []
    with pytest.raises(InputError, match=r"would take .* MB of memory at the least, and 10 MB are"):
        collect_channel_ranges(
            path,
            feeds_of((30,)),
            {"conv": 1},
            terms=Terms(max_memory_bytes=10**7),
            progress=lambda done, _total: runs.append(done),
        )
    assert not runs


def test_less_memory_means_smaller_groups_and_the_same_ranges(
    chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the test's own process holds grows and shrinks between two calls, by more than a tensor.
    monkeypatch.setattr(memory, "resident_bytes", lambda: 10**8)
    feed = {"x": np.random.default_rng(0).standard_normal((1, 4, 50_000)).astype(np.float32)}
    axes = dict.fromkeys([f"t{number}" for number in range(6)], 1)
    totals: list[int] = []

    def ranges(room_bytes: int | None) -> dict:
        floor = memory.predict(chain, feed, axes, "mse", 0).floor_bytes
        limit = None if room_bytes is None else floor + room_bytes
        return collect_channel_ranges(
            chain,
            [feed],
            axes,
            "mse",
            terms=Terms(max_memory_bytes=limit),
            progress=lambda _done, total: totals.append(total),
        )

    whole = ranges(None)
    assert totals[-1] == 2
    tight = ranges(2 * 50_000 * 16)
    assert totals[-1] > 2
    for name in axes:
        np.testing.assert_array_equal(whole[name].low, tight[name].low)
        np.testing.assert_array_equal(whole[name].high, tight[name].high)
