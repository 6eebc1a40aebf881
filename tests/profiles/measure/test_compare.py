from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from profiles.measure.compare import compare, read_timed
from vampnet_models.errors import InputError
from vampnet_models.records.files import write_record
from vampnet_models.records.generic import PROFILE, RESULTS
from vampnet_models.records.host import Host
from vampnet_models.records.profiles import (
    Estimate,
    Measurement,
    ProfiledModel,
    ProfiledVariant,
    ProfileFile,
)
from vampnet_models.records.results import Model, Results, Variant

HOST = Host(cpu="one", flags=("avx2",), cores=2, os="Linux x86_64")


def _file(
    median_s: float,
    *,
    host: Host = HOST,
    seed: int = 0,
    shape: tuple[int, ...] = (1, 4),
    recipe: str = "fp16",
    yardstick_s: float | None = 0.004,
    **more: Any,
) -> ProfileFile:
    rng = np.random.default_rng(seed)

    def samples(around_s: float) -> tuple[float, ...]:
        return tuple(rng.normal(around_s, 0.01 * around_s, 20).tolist())

    found = Measurement(
        target="cpu",
        median_s=median_s,
        samples_s=samples(median_s),
        yardstick_s=samples(yardstick_s) if yardstick_s else (),
        feed_shapes={"x": shape},
        **{"threads": 2, **more},
    )
    mobile = Estimate(low_s=1.0, high_s=2.0, assumptions=())
    variant = ProfiledVariant(recipe, {"cpu": found, "mobile": mobile})
    return ProfileFile(host, (ProfiledModel("coarse", (variant,)),))


@pytest.mark.parametrize(
    ("new", "expected"),
    [(0.10, "no difference"), (0.105, "no difference"), (0.07, "faster"), (0.14, "slower")],
)
def test_verdicts_between_runs(new, expected):
    (found,) = compare(_file(0.10), _file(new, seed=1))
    assert (found.model, found.recipe, found.target) == ("coarse", "fp16", "cpu")
    assert found.shift.verdict == expected
    assert found.shift.ratio.value == pytest.approx(new / 0.10, rel=0.02)
    assert found.warnings == ()
    assert found.as_json()["verdict"] == expected
    assert found.as_json()["ratio"]["value"] == found.shift.ratio.value


def test_without_a_yardstick_the_machine_cannot_be_told_apart():
    (found,) = compare(_file(0.10, yardstick_s=None), _file(0.07, seed=1))
    assert found.shift.verdict == "faster"
    assert found.shift.levelled is None
    assert any("a run without a yardstick" in line for line in found.warnings)


def test_another_machine_is_refused_without_the_flag():
    other = _file(0.1, host=replace(HOST, cpu="two"))
    with pytest.raises(InputError, match=r"cpu: 'two' then, 'one' now.*--other-machine"):
        compare(other, _file(0.1))
    (found,) = compare(other, _file(0.1), other_machine=True)
    assert "different machines" in found.warnings[0]


def test_other_shapes_and_nothing_in_common_are_refused():
    with pytest.raises(InputError, match="input shapes differ"):
        compare(_file(0.1), _file(0.1, shape=(1, 8)))
    with pytest.raises(InputError, match="nothing in common"):
        compare(_file(0.1), _file(0.1, recipe="fused"))


def test_noise_is_passed_on():
    (found,) = compare(_file(0.1, noisy=True), _file(0.4, threads=1))
    assert found.shift.verdict == "too noisy to tell"
    assert any("old one was noisy" in line for line in found.warnings)
    assert any("2 threads then, 1 now" in line for line in found.warnings)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "is no profile"),
        ("{}", "is no profile: it names no schema; this version reads 1"),
        ('{"schema": 1, "host": {}}', "models: is missing"),
        ('{"schema": 1, "host": {}, "models": [{"name": "m", "variants": 3}]}', "must be a list"),
        ("{", "no readable profile"),
    ],
)
def test_another_file_is_no_profile(tmp_path, content, said):
    path = tmp_path / "old.json"
    path.write_text(content)
    with pytest.raises(InputError, match=said) as refused:
        read_timed(path)
    assert "give what `vampbench profile -o` or `run` has written" in str(refused.value)


def test_a_profile_and_a_run_are_read_from_their_files(tmp_path):
    ours, path = _file(0.1), tmp_path / "old.json"
    write_record(ours, PROFILE, path)
    assert read_timed(path) == ours
    variant = Variant("fp16", "ok", profiles=ours.models[0].variants[0].profiles)
    write_record(Results(host=HOST, models=(Model("coarse", variants=(variant,)),)), RESULTS, path)
    (found,) = compare(read_timed(path), _file(0.1, seed=1))
    assert found.shift.verdict == "no difference"
