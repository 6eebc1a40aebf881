"""Which recipe of each model a bundle packs."""

from __future__ import annotations

import pytest

from profiles.targets.order import find_target
from vampbench.work.chosen import chosen_for
from vampnet_models.errors import InputError
from vampnet_models.records.generic import read
from vampnet_models.records.results import DecidedSet, Decision, Results

ROLES = {"encoder": "codec-encoder", "coarse": "coarse", "c2f": "c2f", "decoder": "codec-decoder"}
SMALL = dict(zip(ROLES, ("int8", "int8", "fp16", "int8"), strict=True))
FAST = SMALL | {"decoder": "fused"}
DECISION = {
    "cpu": Decision("harmless", DecidedSet(SMALL, 50), DecidedSet(FAST, 80)),
    "android": Decision("harmless", DecidedSet(SMALL, 50)),
}


def results():
    values = {
        "models": [
            {
                "name": name,
                "role": role,
                "variants": [
                    {
                        "recipe": recipe,
                        "status": "failed" if (name, recipe) == ("c2f", "int8") else "ok",
                        "bytes": size,
                    }
                    for recipe, size in (("fused", 40), ("fp16", 20), ("int8", 10))
                ],
            }
            for name, role in ROLES.items()
        ]
    }
    return read(Results, values, "results", "run again")


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (None, ["int8", "int8", "fp16", "int8"]),
        ("fused", ["fused"] * 4),
        ("codec=fp16", ["fp16", "int8", "fp16", "fp16"]),
        ("coarse=fused, codec-decoder=fp16", ["int8", "fused", "fp16", "fp16"]),
        ("codec=fp32", ["fp32", "int8", "fp16", "fp32"]),
        ("codec=fused,decoder=int8,coarse=int8,c2f=fp16", ["fused", "int8", "fp16", "int8"]),
    ],
)
def test_what_is_not_named_gets_what_was_decided(wish, expected):
    chosen = chosen_for(find_target("android"), results(), DECISION, wish, fastest=False)
    assert chosen == dict(zip(ROLES, expected, strict=True))


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("int8", "no variant int8 of c2f; it has fused, fp16, fp32"),
        ("coarse=int3", "no variant int3 of coarse; it has fused, fp16, int8, fp32"),
        (
            "loud=fp16",
            "loud: the run has no such model; name one of encoder, codec-encoder, codec,",
        ),
        ("coarse=fp16,int8", "give MODEL=RECIPE"),
        ("", "no variant  of encoder"),
    ],
)
def test_what_the_run_does_not_have_is_refused(wish, said):
    with pytest.raises(InputError, match=r"^recipe") as error:
        chosen_for(find_target("cpu"), results(), DECISION, wish, fastest=False)
    assert said in str(error.value)


def test_the_fastest_is_another_set_and_there_is_none_where_nothing_was_measured():
    assert chosen_for(find_target("cpu"), results(), DECISION, None, fastest=True) == FAST
    with pytest.raises(InputError, match=r"^android was not measured: .*; leave --fastest out$"):
        chosen_for(find_target("android"), results(), DECISION, None, fastest=True)


def test_a_run_without_a_decision_says_what_to_do():
    with pytest.raises(InputError, match=r"an earlier version made it.*run it again: vampbench"):
        chosen_for(find_target("cpu"), results(), {}, None, fastest=False)
    assert set(chosen_for(find_target("cpu"), results(), {}, "fp16", fastest=False)) == set(ROLES)
    with pytest.raises(InputError, match=r"what android-npu takes.*npu-a16w8"):
        chosen_for(find_target("android-npu"), results(), DECISION, None, fastest=False)
