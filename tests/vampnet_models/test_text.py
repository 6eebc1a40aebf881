import pytest

from vampnet_models.errors import reason_in, reason_of
from vampnet_models.text import end_of, milliseconds, one_line, pace_text, percent, visible


@pytest.mark.parametrize(
    "nasty", ["\x1b[2J", "\x07", "\x9b31m", "\u202e", "\x00", "\u2028", "\ud800"]
)
def test_what_a_terminal_obeys_is_spelled_out(nasty):
    shown = visible(f"a{nasty}b")
    assert shown == f"a\\u{ord(nasty[0]):04x}{nasty[1:]}b"
    assert shown.isprintable()


def test_plain_text_stays():
    text = "Größe ×2 µs 日本 [1, 2]"
    assert visible(text) == text
    assert visible("a\nb\tc", keep="\n\t") == "a\nb\tc"
    assert one_line(" a\r\n b\tc ") == "a b c"


def test_the_end_is_kept():
    assert end_of("x" * 50 + " the reason", 10) == "... the reason"
    assert end_of("short", 10) == "short"
    assert end_of("[Error] : 2 : the reason", 20) == "... : 2 : the reason"


def test_a_reason_of_the_runtime_loses_its_codes_and_keeps_its_end():
    said = (
        "[ONNXRuntimeError] : 1 : FAIL : Load model from /long/path.onnx failed:"
        "/onnxruntime_src/onnxruntime/core/graph/model.cc:181 onnxruntime::Model::Model "
        f"{'z' * 300} Unsupported model IR version: 99"
    )
    reason = reason_of(RuntimeError(said))
    assert reason.endswith("Unsupported model IR version: 99")
    assert len(reason) <= 304
    assert "onnxruntime_src" not in reason_of(RuntimeError(said), 1000)
    assert "ONNXRuntimeError" not in reason_of(RuntimeError(said), 1000)
    assert reason_of(KeyError()) == "KeyError"


def test_what_a_process_said_of_the_runtime_loses_its_codes_too():
    said = f"InvalidArgument: [ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Node {'z' * 30} fails"
    assert reason_in(said, 60) == f"InvalidArgument: Node {'z' * 30} fails"
    assert reason_in(said, 40) == f"... {'z' * 30} fails"


@pytest.mark.parametrize(
    ("factor", "said"), [(0.004065, "246 x faster"), (1.0, "1 x faster"), (2.5, "2.5 x slower")]
)
def test_a_pace_says_which_way_it_is_meant(factor, said):
    assert pace_text(factor) == f"{said} than it plays"


def test_a_share_is_never_rounded_up_to_the_whole():
    assert [percent(each) for each in (1, 0.99, 0.99995, 0.9999999)] == [
        *("100.00 %", "99.00 %", "99.9950 %", "99.9999 %")
    ]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.0123, "12.3 ms"), (4.6e-5, "46 µs"), (0.00042, "420 µs"), (2, "2000.0 ms")],
)
def test_times_have_digits_that_count(seconds, told):
    assert milliseconds(seconds) == told
