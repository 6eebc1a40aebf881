import numpy as np
import pytest

from profiles.measure.two_runs import Times, shift_of


def _times(seed, variant_s, machine=1.0, noisy=False):
    """Twenty rounds on a machine that takes `machine` times as long for everything."""
    rng = np.random.default_rng(seed)
    weather = machine * rng.normal(1.0, 0.02, 20)
    samples = weather * variant_s * rng.normal(1.0, 0.01, 20)
    yardstick = weather * 0.004 * rng.normal(1.0, 0.01, 20)
    return Times(samples.tolist(), yardstick.tolist(), noisy)


@pytest.mark.parametrize("machine", [0.74, 1.0, 1.35])
def test_the_same_variant_on_a_faster_or_slower_machine_is_no_difference(machine):
    verdicts = {
        shift_of(_times(s, 0.008), _times(s + 50, 0.008, machine)).verdict for s in range(20)
    }
    assert verdicts == {"no difference"}


@pytest.mark.parametrize(
    ("variant_s", "machine", "expected"),
    [
        (0.0056, 1.0, "faster"),
        (0.0104, 1.0, "slower"),
        (0.0048, 0.74, "faster"),
        (0.0104, 1.35, "slower"),
        (0.0104, 0.74, "no difference"),
    ],
)
def test_a_changed_variant_is_told_where_it_is_larger_than_the_machine(
    variant_s, machine, expected
):
    shift = shift_of(_times(0, 0.008), _times(1, variant_s, machine))
    assert shift.verdict == expected
    assert shift.levelled.value == pytest.approx(variant_s / 0.008, rel=0.03)
    assert shift.machine.value == pytest.approx(machine, rel=0.03)
    said = any("the machine itself took" in line for line in shift.warnings)
    assert said == (machine != 1.0)


def test_noise_on_either_side_leaves_nothing_to_say():
    for noisy in ((True, False), (False, True)):
        shift = shift_of(*(_times(i, 0.008 * 4**i, noisy=n) for i, n in enumerate(noisy)))
        assert shift.verdict == "too noisy to tell"
        assert any("was noisy: measure it again when idle" in line for line in shift.warnings)


def test_a_run_without_a_yardstick_is_said():
    then = _times(0, 0.008)
    shift = shift_of(Times(then.samples_s, (), False), _times(1, 0.004))
    assert (shift.verdict, shift.machine, shift.levelled) == ("faster", None, None)
    assert "without a yardstick" in shift.warnings[0]
