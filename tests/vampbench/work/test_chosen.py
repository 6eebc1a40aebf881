"""What a bundle packs where the user says it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from profiles.targets.order import find_target
from vampbench.api.progress import Heard
from vampbench.work.chosen import chosen_for
from vampnet_models.errors import InputError
from vampnet_models.progress import Reporter
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.generic import read
from vampnet_models.records.results import Results

ROLES = {"encoder": "codec-encoder", "coarse": "coarse", "c2f": "c2f", "decoder": "codec-decoder"}


def results():
    accuracy = {"token_agreement": 0.999}
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
                        "accuracy": accuracy | {"si_sdr_db": 40},
                        "profiles": {},
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
        ("codec=fused,decoder=int8,coarse=int8,c2f=fp16", ["fused", "int8", "fp16", "int8"]),
    ],
)
def test_what_is_not_named_gets_overviews_choice(wish, expected):
    android, silent = find_target("android"), Reporter()
    chosen = chosen_for(android, results(), Path("none"), wish, silent, is_default=False)
    assert chosen == dict(zip(ROLES, expected, strict=True))


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("int8", "no variant int8 of c2f; it has fused, fp16"),
        ("coarse=int3", "no variant int3 of coarse; it has fused, fp16, int8"),
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
        chosen_for(find_target("cpu"), results(), Path("none"), wish, Reporter(), is_default=False)
    assert said in str(error.value)


@pytest.mark.parametrize("wish", [None, "c2f=fp16"])
def test_a_set_that_loses_tokens_is_told_unless_it_was_wished_for(wish):
    lossy = AccuracyReport(token_agreement=0.9887)
    models = tuple(
        replace(m, variants=tuple(replace(v, accuracy=lossy) for v in m.variants))
        if m.name == "c2f"
        else m
        for m in results().models
    )
    heard = Heard(None)
    run = replace(results(), models=models)
    chosen = chosen_for(find_target("android"), run, Path("none"), wish, heard, is_default=False)
    assert chosen["c2f"] == "fp16"
    lost = "no variant of c2f that it takes keeps the tokens: fp16 has 98.87 %, below 99%"
    assert heard.warnings == ([] if wish else [lost])
