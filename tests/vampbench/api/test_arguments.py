"""An argument of a wrong type, to every public function: one line that names it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vampbench as vb
from optimize.precision.fp16.convert import Float16
from vampbench.api.data import feeds_template
from vampbench.api.devices.imported import import_profile
from vampbench.api.devices.lengths import make_dynamic, make_static
from vampbench.api.devices.qnn import qnn
from vampbench.api.emulate import emulate_fp16
from vampbench.api.inspect import inspect as look_at
from vampbench.api.listen.compare import compare
from vampbench.api.listen.swap import swap
from vampbench.api.listen.vamp import vamp
from vampbench.api.new_models import import_checkpoints, synth
from vampbench.api.profile import read_profile
from vampbench.api.ship.bundle import check
from vampbench.api.ship.reports import compare_runs, overview, write_report

_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    vb.open_models,
    vb.split_audio,
    vb.build,
    vb.verify,
    vb.profile,
    vb.run,
    vb.tune,
    vb.bundle,
    read_profile,
    check,
    overview,
    write_report,
    compare_runs,
    feeds_template,
    emulate_fp16,
    import_checkpoints,
    import_profile,
    synth,
    look_at,
    make_static,
    make_dynamic,
    qnn,
    compare,
    swap,
    vamp,
)

_OTHERS: dict[str, Any] = {
    "recipe": "fp16",
    "settings": Float16(),
    "checkpoints": ["none.pth"],
    "files": ["none.json"],
    "device": "phone",
}
"""What the required arguments beside the wrong one are, where no path does."""

_ITS_OWN_WORDS = {"data", "evaluation", "calibration", "audio"}
"""What is fed is refused by whoever reads it, which says what may be fed."""


def _parameters() -> Iterator[Any]:
    for function in _FUNCTIONS:
        for name in inspect.signature(function).parameters:
            yield pytest.param(function, name, id=f"{function.__module__}-{name}")


@pytest.mark.parametrize(("function", "name"), list(_parameters()))
def test_a_wrong_type_is_refused_by_name(
    function: Callable[..., Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    required = {
        each.name: _OTHERS.get(each.name, "none.onnx")
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty
    }
    with pytest.raises(vb.InputError) as raised:
        function(**{**required, name: 5j})
    said = str(raised.value)
    assert "complex" in said and "\n" not in said
    assert name in _ITS_OWN_WORDS or said.startswith(f"{name}: is a complex")
    assert not list(tmp_path.iterdir())


def test_text_is_not_several_texts() -> None:
    with pytest.raises(vb.InputError, match="checkpoints: is a str; give several"):
        import_checkpoints("coarse.pth", "models")


def test_each_of_several_models_is_looked_at(tmp_path: Path) -> None:
    with pytest.raises(vb.InputError, match="models: is an int; give models"):
        vb.run([5], tmp_path / "out")  # type: ignore[list-item]


def test_a_word_is_one_of_its_choices(tmp_path: Path) -> None:
    with pytest.raises(vb.InputError, match=r"prefer: is 'x'; give .*smallest"):
        vb.tune("none.onnx", tmp_path, prefer="x")  # type: ignore[arg-type]


def test_feeds_do_not_judge_a_chain(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", audio=np.zeros(4, np.float32))
    with pytest.raises(vb.InputError, match=r"f\.npz: holds feeds, which no chain hears"):
        swap("models", "others", tmp_path / "f.npz")


def test_a_call_that_does_not_fit_names_the_function(tmp_path: Path) -> None:
    with pytest.raises(
        TypeError, match=r"run\(\) got an unexpected keyword argument 'calibration'"
    ):
        vb.run(None, tmp_path / "out", calibration=[])
    with pytest.raises(TypeError, match=r"run\(\) takes 2 positional arguments"):
        vb.run(None, tmp_path / "out", [])
    assert not list(tmp_path.iterdir())
