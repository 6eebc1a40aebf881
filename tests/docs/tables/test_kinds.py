"""Costs by kind of sound, from figures that are given here."""

from __future__ import annotations

from docs.tables.kinds import KINDS, MODELS, by_kind

COSTS = dict.fromkeys((f"{kind}-2" for kind in KINDS), 0.1) | {"bach": 0.2, "handel": 0.4}


def test_music_is_what_no_name_tells_and_only_lossy_recipes_are_told() -> None:
    models = [
        {
            "role": role,
            "variants": [
                {"recipe": recipe, "accuracy": {measure: {"per_recording": COSTS}}}
                for recipe in ("fp16", "int8-static")
            ],
        }
        for role, (measure, _, _) in MODELS.items()
    ]
    head, line, *rows = by_kind({"models": models}).splitlines()
    assert len(rows) == len(MODELS) and {head.count("|"), line.count("|")} == {rows[0].count("|")}
    assert rows[0].startswith("| encoder, dB | int8-static | +0.300 | +0.100 |")
    assert rows[0].endswith("| +0.400 |")
    assert "| coarse, nats | int8-static | +0.3000 |" in rows[2]
