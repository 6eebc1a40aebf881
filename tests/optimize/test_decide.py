"""One answer per target, from figures and times alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimize.decide import decide
from optimize.truth.grades import FAITHFUL, Criterion, criterion_of
from optimize.truth.status import Bounds
from tests.optimize.truth.test_grades import figure
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.profiles import Estimate, Measurement, Profile
from vampnet_models.records.results import FP32, DecidedSet, Model, Results, Variant

Span = tuple[float, float]


def costing(role: str, cost: float) -> AccuracyReport:
    """A report whose cost has its upper end there."""
    found = figure(cost / 2, 0.0, cost)
    sampled = figure(1 - cost, 1 - 2 * cost, 1.0)
    if role in ("coarse", "c2f"):
        return AccuracyReport(0.9, cost_nats=found, sampled_agreement=sampled)
    return AccuracyReport(0.9, cost_log_mel_db=found)


def timed(span: Span | None, median_s: float, *, noisy: bool = False) -> dict[str, Profile]:
    if span is None:
        return {"mobile": Estimate(low_s=1, high_s=2, assumptions=())}
    ratio = sum(span) / 2
    return {
        "cpu": Measurement(
            target="cpu", median_s=ratio * median_s, ratio_interval=span, noisy=noisy
        )
    }


def variant(
    role: str, recipe: str, size: int, cost: float, span: Span | None = None, *, noisy: bool = False
) -> Variant:
    profiles = timed(span, 1.0, noisy=noisy)
    return Variant(recipe, "ok", bytes=size, accuracy=costing(role, cost), profiles=profiles)


def model(role: str, *variants: Variant, median_s: float = 1.0) -> Model:
    source: dict[str, Profile] = {"cpu": Measurement(target="cpu", median_s=median_s)}
    return Model(role, role, source_bytes=100, profiles=source, variants=variants)


@pytest.fixture
def coarse() -> Model:
    return model(
        "coarse",
        variant("coarse", "fused", 100, 0.0, (0.97, 1.01)),
        variant("coarse", "fp16", 50, 0.001, (1.00, 1.04)),
        variant("coarse", "int8-dynamic", 26, 0.004, (0.30, 0.40)),
        variant("coarse", "int8-weights", 25, 0.003, (1.40, 1.50)),
        variant("coarse", "int4-weights", 15, 0.02, (0.20, 0.30)),
    )


@pytest.fixture
def decoder() -> Model:
    return model(
        "codec-decoder",
        variant("codec-decoder", "fused", 100, 0.0, (0.90, 0.95)),
        variant("codec-decoder", "fp16", 50, 0.01, (1.02, 1.06)),
        variant("codec-decoder", "int8-static", 30, 0.3, (0.40, 0.50)),
    )


def smallest(results: Results, target: str = "cpu") -> DecidedSet:
    found = decide(results)[target].smallest
    assert found is not None
    return found


def fastest(results: Results, target: str = "cpu") -> DecidedSet:
    found = decide(results)[target].fastest
    assert found is not None
    return found


def test_the_set_as_a_whole_must_be_no_slower(coarse: Model, decoder: Model) -> None:
    both = Results(models=(coarse, decoder))
    assert smallest(both).parts == {"coarse": "int8-dynamic", "codec-decoder": "fp16"}
    assert fastest(both).parts == {"coarse": "int8-dynamic", "codec-decoder": "fused"}
    alone = Results(models=(decoder,))
    assert smallest(alone).parts == fastest(alone).parts == {"codec-decoder": "fused"}
    assert smallest(both).bytes == 76
    assert smallest(both).time_ratio == pytest.approx((0.35 + 1.04) / 2)
    assert smallest(both).time_ratio_high == pytest.approx((0.40 + 1.06) / 2)


def test_a_gain_elsewhere_pays_for_a_small_slow_part(coarse: Model) -> None:
    slow = model(
        "c2f",
        variant("c2f", "fp16", 50, 0.001, (1.0, 1.1)),
        variant("c2f", "int8-weights", 25, 0.003, (1.3, 1.4)),
        variant("c2f", "int4-weights", 15, 0.003, (2.0, 2.1)),
    )
    assert smallest(Results(models=(coarse, slow))).parts["c2f"] == "int8-weights"


def test_an_unmeasured_target_gets_the_smallest(coarse: Model, decoder: Model) -> None:
    both = Results(models=(coarse, decoder))
    found = decide(both)["android"]
    assert found.smallest is not None and found.fastest is None
    assert found.smallest.parts == {"coarse": "int8-weights", "codec-decoder": "fp16"}
    assert found.smallest.time_ratio is None
    assert "not measured there: the smallest" in found.reasons
    assert smallest(both, "cuda").parts == {"coarse": "fp16", "codec-decoder": "fp16"}
    untimed = replace(decoder, profiles={})
    found = decide(Results(models=(coarse, untimed)))["cpu"]
    assert found.fastest is None and found.smallest is not None
    assert found.smallest.parts["coarse"] == "int8-weights"


@pytest.mark.parametrize(
    ("span", "noisy", "small", "fast"),
    [
        ((0.30, 0.40), False, "int8-dynamic", "int8-dynamic"),
        ((0.30, 0.40), True, "int8-dynamic", "fp16"),
        ((0.30, 1.02), True, "int8-dynamic", "fp16"),
        ((0.30, 1.10), True, "fp16", "fp16"),
        ((0.90, 1.02), False, "int8-dynamic", "fp16"),
        ((0.90, 1.03), False, "fp16", "fp16"),
    ],
)
def test_a_time_that_is_noisy_or_spans_one_is_no_gain(
    span: Span, noisy: bool, small: str, fast: str
) -> None:
    one = model(
        "coarse",
        variant("coarse", "fp16", 50, 0.001, (0.7, 0.8)),
        variant("coarse", "int8-dynamic", 26, 0.004, span, noisy=noisy),
    )
    found = decide(Results(models=(one,)))["cpu"]
    assert found.smallest is not None and found.fastest is not None
    assert found.smallest.parts == {"coarse": small}
    assert found.fastest.parts == {"coarse": fast}
    told = [each for each in found.reasons if each.startswith("noisy: the times of coarse")]
    assert found.smallest.noisy is bool(told) is (noisy and small == "int8-dynamic")


def test_noisy_gains_pay_for_nothing(coarse: Model, decoder: Model) -> None:
    noisy = tuple(
        replace(v, profiles={"cpu": replace(p, noisy=True)})
        for v in coarse.variants
        if isinstance(p := v.profiles["cpu"], Measurement)
    )
    quiet, loud = (
        Results(models=(each, decoder)) for each in (coarse, replace(coarse, variants=noisy))
    )
    assert smallest(quiet).parts == {"coarse": "int8-dynamic", "codec-decoder": "fp16"}
    assert smallest(loud).parts == {"coarse": "int8-dynamic", "codec-decoder": "fused"}
    assert fastest(loud).parts == {"coarse": "int8-dynamic", "codec-decoder": "fused"}
    assert (smallest(quiet).noisy, smallest(loud).noisy) == (False, True)


def test_where_nothing_is_shown_to_be_faster_both_sets_are_one() -> None:
    one = model("coarse", variant("coarse", "int8-dynamic", 26, 0.004, (0.3, 1.03), noisy=True))
    other = model("c2f", variant("c2f", "fp16", 50, 0.004, (0.99, 1.0)))
    found = decide(Results(models=(one, other)))["cpu"]
    assert found.smallest == found.fastest
    assert found.smallest is not None and found.smallest.parts["coarse"] == "int8-dynamic"
    assert "nothing is shown to be faster than FP32" in found.reasons


def test_of_equally_fast_ones_the_smallest_is_the_fastest() -> None:
    one = model(
        "coarse",
        variant("coarse", "int8-static", 29, 0.001, (0.30, 0.34)),
        variant("coarse", "int8-dynamic", 26, 0.004, (0.33, 0.36)),
        variant("coarse", "int8-weights", 25, 0.004, (0.40, 0.43)),
    )
    assert fastest(Results(models=(one,))).parts == {"coarse": "int8-dynamic"}


def test_where_nothing_holds_it_is_fp16_then_fp32(coarse: Model) -> None:
    unknown = tuple(replace(v, accuracy=AccuracyReport(0.9)) for v in coarse.variants)
    found = decide(Results(models=(replace(coarse, variants=unknown),)))
    assert found["android"].smallest == DecidedSet({"coarse": "fp16"}, 50)
    assert "no variant of coarse holds harmless: FP16, else FP32" in found["android"].reasons
    said = {each.recipe: each.reason for each in found["android"].passed_over}
    assert set(said) == {"fused", "int8-dynamic", "int8-weights", "int4-weights"}
    assert said["int8-dynamic"].endswith("run again")
    dear = tuple(replace(v, accuracy=costing("coarse", 0.1)) for v in coarse.variants)
    found = decide(Results(models=(replace(coarse, variants=dear),)))
    for target in ("cpu", "cuda", "android", "ios"):
        decided = found[target].smallest
        assert decided is not None
        assert (decided.parts, decided.bytes) == ({"coarse": FP32}, 100)
    assert "no variant of coarse holds harmless: FP16, else FP32" in found["cpu"].reasons


def test_what_was_passed_over_says_why(coarse: Model, decoder: Model) -> None:
    found = decide(Results(models=(coarse, decoder)))["cpu"]
    said = {(each.model, each.recipe): each.reason for each in found.passed_over}
    assert said["coarse", "int8-weights"] == "takes 1.45 x FP32's time, up to 1.50"
    assert said["coarse", "int4-weights"].startswith("may cost 0.02 nats per token")
    assert said["codec-decoder", "int8-static"].startswith("may cost 0.3 dB log-mel")
    assert len(said) == 3
    (reason,) = [each for each in found.reasons if each.startswith("coarse int8-dynamic: ")]
    assert "no cost above 0.004 nats per token found on 24 clips of 6 recordings" in reason


def test_fp16_that_may_be_taken_untold_is_left_for_its_time_alone(coarse: Model) -> None:
    few = replace(costing("coarse", 0.001), cost_nats=figure(0.001, 0.0, 0.001, 3, 24))
    slow, quick = (
        replace(coarse.variants[1], accuracy=few, profiles=timed(span, 1.0))
        for span in ((1.2, 1.3), (0.8, 0.9))
    )
    others = tuple(replace(each, accuracy=few) for each in coarse.variants[2:])
    models = replace(coarse, variants=(slow, *others))
    found = decide(Results(models=(models,)))["cpu"]
    assert found.smallest is not None and found.smallest.parts == {"coarse": FP32}
    said = {each.recipe: each.reason for each in found.passed_over}
    assert said["fp16"] == "takes 1.25 x FP32's time, up to 1.30"
    assert said["int8-dynamic"].startswith("cannot tell: 3 recordings")
    models = replace(coarse, variants=(quick, *others))
    found = decide(Results(models=(models,)))["cpu"]
    assert found.smallest is not None and found.smallest.parts == {"coarse": "fp16"}
    assert "fp16" not in {each.recipe for each in found.passed_over}


def test_a_variant_that_missed_what_it_was_asked_is_not_taken(coarse: Model) -> None:
    missed = tuple(
        replace(v, status="missed", reason="token agreement 0.9 is below the 0.95 asked for")
        if v.recipe.startswith("int8")
        else v
        for v in coarse.variants
    )
    found = decide(Results(models=(replace(coarse, variants=missed),)))["android"]
    assert found.smallest is not None and found.smallest.parts == {"coarse": "fp16"}
    assert "0.95 asked for" in found.passed_over[0].reason


def test_another_grade_and_bounds_of_ones_own_give_another_set(coarse: Model) -> None:
    one = Results(models=(coarse,))
    for criterion, expected in (
        (Criterion(FAITHFUL), "int8-weights"),
        (criterion_of("faithful", Bounds(max_cost_nats=0.001)), "fp16"),
        (criterion_of(None, Bounds(max_cost_nats=0.02)), "int4-weights"),
        (criterion_of(None, Bounds(min_agreement=0.95)), FP32),
    ):
        found = decide(one, criterion)["android"]
        assert found.smallest is not None
        assert found.smallest.parts["coarse"] == expected
        assert found.grade == criterion.name


def test_the_npu_gets_its_own_recipes_alone(coarse: Model, decoder: Model) -> None:
    npu = variant("coarse", "npu-a16w8", 10, 0.001)
    assert "android-npu" not in decide(Results(models=(coarse, decoder)))
    with_npu = replace(coarse, variants=(*coarse.variants, npu))
    both = Results(models=(with_npu, decoder))
    assert smallest(both, "android-npu").parts == {"coarse": "npu-a16w8", "codec-decoder": "fp16"}
    for target in ("android", "cpu"):
        assert smallest(both, target).parts["coarse"] != "npu-a16w8"
    codec = decide(Results(models=(decoder,)))
    assert "nothing of it runs on QNNExecutionProvider" in " ".join(codec["android-npu"].reasons)
    assert "nothing of it" not in " ".join(codec["android"].reasons)


def test_a_machine_with_the_library_gets_native_variants_once_there_is_one(
    coarse: Model, decoder: Model
) -> None:
    assert "cpu-native" not in decide(Results(models=(coarse, decoder)))
    native = variant("coarse", "int8-dynamic-native", 9, 0.001, (0.2, 0.25))
    both = Results(models=(replace(coarse, variants=(*coarse.variants, native)), decoder))
    assert smallest(both, "cpu-native").parts["coarse"] == "int8-dynamic-native"
    for target in ("cpu", "android", "cuda"):
        assert smallest(both, target).parts["coarse"] != "int8-dynamic-native"


def test_a_mixture_of_a_run_is_offered_to_the_machine_with_the_library(coarse: Model) -> None:
    native = variant("coarse", "int8-dynamic-native", 27, 0.004, (0.20, 0.25))
    mixture = variant("coarse", "tuned", 12, 0.004, (0.80, 0.85))
    both = Results(models=(replace(coarse, variants=(*coarse.variants, native, mixture)),))
    assert smallest(both, "cpu-native").parts == {"coarse": "tuned"}
    assert fastest(both, "cpu-native").parts == {"coarse": "int8-dynamic-native"}
    assert smallest(both, "ios").parts != {"coarse": "tuned"}


def test_ios_gets_what_coreml_takes_once_every_model_has_it(coarse: Model, decoder: Model) -> None:
    own = variant("coarse", "coreml-fp16", 55, 0.001)
    with_own = replace(coarse, variants=(*coarse.variants, own))
    assert smallest(Results(models=(with_own, decoder)), "ios").parts["coarse"] == "fp16"
    sound = variant("codec-decoder", "coreml-fp16", 56, 0.001)
    both = (with_own, replace(decoder, variants=(*decoder.variants, sound)))
    found = smallest(Results(models=both), "ios").parts
    assert found == {"coarse": "coreml-fp16", "codec-decoder": "coreml-fp16"}


def test_beat_trackers_and_models_of_which_nothing_was_made_do_not_ship(coarse: Model) -> None:
    beats = replace(coarse, name="beats", role="beats")
    broken = replace(
        coarse, name="broken", role="c2f", variants=(Variant("fp16", "failed", reason="no"),)
    )
    found = decide(Results(models=(coarse, beats, broken)))["cpu"]
    assert found.smallest is not None and list(found.smallest.parts) == ["coarse"]
    assert "without broken: it has no usable variant" in found.reasons
    assert decide(Results(models=(broken,))) == {}
