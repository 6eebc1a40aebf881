"""The table of what all models of a run weigh together."""

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
