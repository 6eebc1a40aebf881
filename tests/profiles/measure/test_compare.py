import numpy as np
import pytest

from profiles.measure.compare import compare, document
from vampnet_models.errors import InputError

HOST = {"cpu": "one", "flags": ["avx2"], "cores": 2, "quota_cores": None, "os": "Linux x86_64"}


def _document(median, *, host=HOST, seed=0, shapes=None, recipe="fp16", yardstick=0.004, **more):
    rng = np.random.default_rng(seed)
    record = {"kind": "measurement", "threads": 2, **more}
    record["samples_s"] = rng.normal(median, 0.01 * median, 20).tolist()
    if yardstick:
        record["yardstick_s"] = rng.normal(yardstick, 0.01 * yardstick, 20).tolist()
    record["feed_shapes"] = shapes or {"x": [1, 4]}
    return document("coarse", {recipe: {"cpu": record, "mobile": {"kind": "estimate"}}}, host)


@pytest.mark.parametrize(
    ("new", "expected"),
    [(0.10, "no difference"), (0.105, "no difference"), (0.07, "faster"), (0.14, "slower")],
)
def test_verdicts_between_runs(new, expected):
    (found,) = compare(_document(0.10), _document(new, seed=1))
    assert (found.model, found.recipe, found.target) == ("coarse", "fp16", "cpu")
    assert found.shift.verdict == expected
    assert found.shift.ratio.value == pytest.approx(new / 0.10, rel=0.02)
    assert found.warnings == ()
    assert found.as_json()["verdict"] == expected
    assert found.as_json()["ratio"]["value"] == found.shift.ratio.value


def test_without_a_yardstick_the_machine_cannot_be_told_apart():
    (found,) = compare(_document(0.10, yardstick=None), _document(0.07, seed=1))
    assert found.shift.verdict == "faster"
    assert found.shift.levelled is None
    assert any("a run without a yardstick" in line for line in found.warnings)


def test_another_machine_is_refused_without_the_flag():
    other = _document(0.1, host=HOST | {"cpu": "two"})
    with pytest.raises(InputError, match=r"cpu: 'two' then, 'one' now.*--other-machine"):
        compare(other, _document(0.1))
    (found,) = compare(other, _document(0.1), other_machine=True)
    assert "different machines" in found.warnings[0]


def test_other_shapes_and_nothing_in_common_are_refused():
    with pytest.raises(InputError, match="input shapes differ"):
        compare(_document(0.1), _document(0.1, shapes={"x": [1, 8]}))
    with pytest.raises(InputError, match="nothing in common"):
        compare(_document(0.1), _document(0.1, recipe="fused"))


def test_noise_is_passed_on():
    (found,) = compare(_document(0.1, noisy=True), _document(0.4, threads=1))
    assert found.shift.verdict == "too noisy to tell"
    assert any("old one was noisy" in line for line in found.warnings)
    assert any("2 threads then, 1 now" in line for line in found.warnings)


@pytest.mark.parametrize(
    "content", [{}, {"models": 3}, {"models": [{"variants": []}, {}]}, {"models": [3]}]
)
def test_another_file_is_no_profile(content):
    with pytest.raises(InputError, match=r"not a profile|nothing in common|another machine"):
        compare(content, _document(0.1))
