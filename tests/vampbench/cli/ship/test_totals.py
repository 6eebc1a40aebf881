"""The table of what all models of a run weigh together."""

import pytest

from tests.profiles.report.example import results_of
from vampbench.cli.ship.run import _totals


def test_a_recipe_that_a_model_lacks_has_no_total():
    made = {"recipe": "fp16", "status": "ok", "bytes": 50, "accuracy": {"token_agreement": 1.0}}
    failed = {"recipe": "fp16", "status": "failed", "reason": "no kernel"}
    models = [
        {"name": "enc", "role": "codec-encoder", "source_bytes": 100, "variants": [made]},
        {"name": "coarse", "role": "coarse", "source_bytes": 900, "variants": [failed]},
    ]
    rows = _totals(results_of({"schema": 1, "models": models, "source_bytes": 1000}))
    assert [(row[0], row[2]) for row in rows] == [("source (FP32)", "100%")]


@pytest.mark.parametrize(
    ("grades", "told"),
    [
        ((["faithful", "harmless"], ["faithful", "harmless"]), "faithful"),
        ((["faithful", "harmless"], ["harmless"]), "harmless"),
        ((["harmless"], []), "none: coarse"),
        (([], []), "none: enc, coarse"),
        # A run of an earlier version says of no variant what it holds.
        ((["harmless"], None), "-"),
    ],
)
def test_a_recipe_has_the_grade_that_all_of_its_models_hold(grades, told):
    models = [
        {
            "name": name,
            "role": role,
            "source_bytes": 100,
            "variants": [{"recipe": "fp16", "status": "ok", "bytes": 50, "grades": held}],
        }
        for name, role, held in zip(
            ("enc", "coarse"), ("codec-encoder", "coarse"), grades, strict=True
        )
    ]
    totals = {"schema": 1, "models": models, "source_bytes": 200, "totals": {"fp16": 100}}
    _, row = _totals(results_of(totals))
    assert row == ("fp16", "0.00 MB", "50%", told, "-")
