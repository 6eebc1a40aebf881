"""The tables of the comparison."""

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
