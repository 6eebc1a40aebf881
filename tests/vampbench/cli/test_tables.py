"""Text left, numbers right, and nothing wider than the terminal."""

import pytest

from vampbench.cli.console import Console
from vampbench.cli.tables import _are_numbers, filled

COLUMNS = ("model", "recipe", "size", "of FP32", "why")
ROWS = [
    ("codec_encoder", "int8-static", "1.02 MB", "28%", "-"),
    ("coarse", "fp16", "12.30 MB", "50%", "one reason of several words, long enough to be wrapped"),
]


@pytest.mark.parametrize("width", [60, 72, 80, 140])
def test_no_line_is_wider_and_no_value_broken(monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    Console().table("Variants", COLUMNS, ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    for value in ("codec_encoder", "int8-static", "12.30 MB"):
        assert any(value in line for line in lines)


def test_text_stands_left_and_numbers_right(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    Console().table("Variants", COLUMNS, ROWS)
    one, two = (line for line in capsys.readouterr().out.splitlines() if "MB" in line)
    assert one.index("int8-static") == two.index("fp16")
    assert one.index("1.02 MB") + len("1.02 MB") == two.index("12.30 MB") + len("12.30 MB")


def test_where_no_table_fits_the_rows_stand_below_each_other(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    Console().table("Variants", COLUMNS, ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["Variants", "codec_encoder", "  recipe int8-static; size 1.02 MB;"]
    assert max(map(len, lines)) <= 40


def test_what_counts_as_a_number():
    assert _are_numbers(["1.02 MB", "-", "~0.45 x", "-3 dB"])
    assert not _are_numbers(["fp16", "1"])
    assert not _are_numbers(["-", ""])
    assert _are_numbers(["1.00 (0.95 to 1.02)", "5.4e-06", "44.6 to 64.4 ms", "100%", "1, 3"])
    assert not _are_numbers(["1-reference.wav", "2-fp16.wav"])
    assert not _are_numbers(["4bit", "8bit"])


def test_a_long_name_is_broken_behind_a_sign_or_a_word(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    rows = [("layers.0.self_attn/Softmax/qkv", "0.56 x"), ("SimplifiedLayerNormalization", "1 x")]
    Console().table("Blocks", ("block", "time, as a multiple of FP32's"), rows)
    left = [line[:24].strip() for line in capsys.readouterr().out.splitlines()]
    assert "layers.0.self_attn/" in left and "Softmax/qkv" in left
    assert "SimplifiedLayer" in left and "Normalization" in left


def test_columns_without_a_value_are_left_out():
    columns, rows = filled(("model", "takes", "why"), [("a", "any", "-"), ("b", "one", "-")])
    assert (columns, rows) == (["model", "takes"], [["a", "any"], ["b", "one"]])


def test_a_stacked_value_keeps_its_unit_on_its_line(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    Console().table("Blocks", ("a", "damage", "saves"), [("a" * 24, "5.0e-06", "0.17 MB")] * 2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:4] == ["a" * 24, "  damage 5.0e-06;", "    saves 0.17 MB"]


def test_a_fact_goes_on_below_itself(monkeypatch, capsys):
    text = "  size        2.16 MB, 1,126,986 parameters (uint8 1,001,068, float 125,880)"
    monkeypatch.setenv("COLUMNS", "60")
    Console().say(text)
    assert capsys.readouterr().out.splitlines() == [
        "  size        2.16 MB, 1,126,986 parameters (uint8",
        "              1,001,068, float 125,880)",
    ]
    monkeypatch.delenv("COLUMNS")
    Console().say(text)
    assert capsys.readouterr().out == f"{text}\n"


def test_a_fact_with_a_long_label_goes_on_near_the_left(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    Console().say("  a/long/path/of/a.onnx  opens in 160 ms, 123 ms cold")
    assert capsys.readouterr().out.splitlines() == [
        "  a/long/path/of/a.onnx  opens",
        "    in 160 ms, 123 ms cold",
    ]


def test_what_has_no_label_is_left_to_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    Console().say("a sentence that is longer than the width")
    assert capsys.readouterr().out == "a sentence that is longer than the width\n"


@pytest.mark.parametrize("width", range(52, 64))
def test_heads_give_way_before_numbers_do(monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    rows = [
        ("codec_encoder", "int8-dynamic", "4.41 MB", "100%", "99.91 %"),
        ("codec_decoder", "fused", "4.41 MB", "100%", "131.7 dB"),
    ]
    Console().table("Models", ("model", "recipe", "size", "of FP32", "agreement"), rows)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.endswith(" 131.7 dB") for line in lines)
    assert any("codec_decoder" in line for line in lines) and any("4.41 MB" in x for x in lines)
