"""The tables of the comparison, and where ours stands in it."""

from bench.accuracy.standing import standing
from bench.accuracy.table import small_tools
from vampnet_models.cache import Json


def figure(value: float, half: float) -> Json:
    recordings = {"harp": value - half, "drum": value + half}
    return {"value": value, "low": value - half, "high": value + half, "per_recording": recordings}


def row(tool: str, n_bytes: int, drawn: float, nats: float) -> Json:
    accuracy = {
        "token_agreement": 0.9,
        "si_sdr_db": None,
        "near_ties": None,
        "sampled_agreement": figure(drawn, 0.001),
        "cost_nats": figure(nats, 0.01),
    }
    took = {"seconds": 1.25, "peak_rss_bytes": 2_000_000_000}
    return {"tool": tool, "bytes": n_bytes, "accuracy": accuracy, **took}


def record(*rows: Json) -> Json:
    model = {"name": "coarse", "role": "coarse", "source_bytes": 8_000_000, "tools": list(rows)}
    return {"models": [model]}


def test_a_row_tells_size_intervals_and_the_worst_recording() -> None:
    table = small_tools(record(row("ours: a", 2_000_000, 0.99, 0.02)))
    assert table.splitlines()[0].startswith("| coarse | size | of FP32 | token agreement | sampled")
    assert table.splitlines()[2] == (
        "| ours: a | 2.00 MB | 25% | 90.00 % | 99.00 % (98.90 % to 99.10 %) | 98.90 % (harp) | "
        "+0.0200 (+0.0100 to +0.0300) | +0.0300 (drum) | 1.2 s | 2.00 GB |"
    )


def test_a_failure_is_told_and_bars_do_not_break_the_table() -> None:
    table = small_tools(record({"tool": "broken", "failed": "a | b " + "c " * 200}))
    assert "| broken | - | - | failed: ... c c" in table
    assert "\\|" in small_tools(record({"tool": "broken", "failed": "a | b"}))


def test_an_earlier_record_without_costs_is_read() -> None:
    old = row("ours: a", 2_000_000, 0.99, 0.02)
    del old["accuracy"]["sampled_agreement"], old["accuracy"]["cost_nats"]
    assert "| ours: a | 2.00 MB | 25% | 90.00 % | 1.2 s | 2.00 GB |" in small_tools(record(old))
    assert len(standing(record(old)).splitlines()) == 2


def test_ours_stands_beside_those_that_are_no_smaller() -> None:
    content = record(
        row("ours: big", 3_000_000, 0.995, 0.0),
        row("ours: small", 2_000_000, 0.98, 0.02),
        row("worse", 2_500_000, 0.97, 0.5),
        row("level", 2_500_000, 0.9805, 0.015),
        row("better", 2_500_000, 0.99, -0.5),
        row("tiny", 1_000_000, 0.5, 1.0),
        {"tool": "broken", "failed": "why"},
    )
    agreement, cost = standing(content).splitlines()[2:]
    level = "level (98.05 %, 2.50 MB; `small`: 98.00 %, 2.00 MB)"
    behind = "better (99.00 %, 2.50 MB; `small`: 98.00 %, 2.00 MB)"
    tiny = "tiny (50.00 %, 1.00 MB; smaller than all of ours)"
    assert agreement == (f"| coarse | sampled agreement | 4 | 1 | 1; {level} | {behind}; {tiny} |")
    assert cost.startswith("| coarse | cost, nats per token | 4 | 1 | 1; level (+0.0150, ")
