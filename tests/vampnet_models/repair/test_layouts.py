import numpy as np
import pytest

from vampnet_models.errors import InputError
from vampnet_models.repair.layouts import mask_of, transformer_answer, transformer_feed
from vampnet_models.spec import ModelSpec, TensorSpec, recognise

FRAMES = 5
rng = np.random.default_rng(0)


def interface(n, *outputs, mask="int64", extra=()):
    inputs = (
        TensorSpec("codes", "int64", ("b", n, FRAMES)),
        TensorSpec("mask", mask, ("b", n, FRAMES)),
        *extra,
    )
    return ModelSpec(recognise(inputs, outputs), inputs, outputs, 17)


def logits(*shape):
    return TensorSpec("logits", "float32", ("b", *shape))


CASES = {
    "[b, n, t, 1024]": (4, lambda x: x),
    "[b, n, t, 1025]": (4, lambda x: np.pad(x, [(0, 0)] * 3 + [(0, 1)], constant_values=99)),
    "[b, t, n, 1024]": (4, lambda x: x.transpose(0, 2, 1, 3)),
    "[b, 1024, t * p]": (4, lambda x: x.transpose(0, 3, 2, 1).reshape(1, 1024, -1)),
    "c2f [b, p, t, 1024]": (14, lambda x: x[:, 4:]),
    "c2f [b, n, t, 1024]": (14, lambda x: x),
    "c2f [b, 1024, t * p]": (14, lambda x: x[:, 4:].transpose(0, 3, 2, 1).reshape(1, 1024, -1)),
}


@pytest.mark.parametrize("case", CASES)
def test_logits_of_every_layout_become_one(case):
    n, layout = CASES[case]
    given = 4 if n == 14 else 0
    wanted = rng.standard_normal((1, n, FRAMES, 1024), np.float32)
    given_codes = rng.integers(0, 1024, (1, n, FRAMES))
    values = layout(wanted)
    spec = interface(n, logits(*values.shape[1:]))
    feed = transformer_feed(spec, given_codes, np.ones((1, n, FRAMES), np.int64))
    answer = transformer_answer(spec, feed, {"logits": values})
    np.testing.assert_array_equal(answer["logits"], wanted[:, given:])
    np.testing.assert_array_equal(answer["tokens"][:, given:], wanted[:, given:].argmax(-1))
    np.testing.assert_array_equal(answer["tokens"][:, :given], given_codes[:, :given])


def test_tokens_alone_are_an_answer_without_logits():
    spec = interface(14, TensorSpec("output", "int64", ("b", 10, FRAMES)))
    given_codes = rng.integers(0, 1024, (1, 14, FRAMES))
    tokens = rng.integers(0, 1024, (1, 10, FRAMES))
    feed = transformer_feed(spec, given_codes, np.ones_like(given_codes))
    answer = transformer_answer(spec, feed, {"output": tokens})
    assert set(answer) == {"tokens"}
    np.testing.assert_array_equal(answer["tokens"][:, 4:], tokens)


def test_a_feed_has_the_models_own_types_and_neutral_scalars():
    extra = (TensorSpec("temperature", "float32", ()),)
    spec = interface(4, TensorSpec("output", "int64", ("b", 4, FRAMES)), mask="bool", extra=extra)
    mask = rng.integers(0, 2, (1, 4, FRAMES))
    feed = transformer_feed(spec, np.zeros_like(mask), mask)
    assert spec.role.value == "coarse"
    assert feed["mask"].dtype == bool
    assert feed["temperature"].shape == () and feed["temperature"] == 1
    np.testing.assert_array_equal(mask_of(spec, feed), mask)


@pytest.mark.parametrize("shape", [(1, 3, FRAMES, 1024), (1, 1024, 7), (1, 4, 6, 1024)])
def test_logits_that_fit_no_layout_are_refused(shape):
    spec = interface(4, logits(*shape[1:]))
    feed = transformer_feed(spec, *(np.zeros((2, 1, 4, FRAMES), np.int64)))
    with pytest.raises(InputError, match="does not fit codes"):
        transformer_answer(spec, feed, {"logits": np.zeros(shape, np.float32)})
