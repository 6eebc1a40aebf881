"""What a file calls its nodes never reaches a terminal as it is."""

import pytest

from vampnet_models.errors import InputError, NotApplicable, PromiseMissed


@pytest.mark.parametrize("kind", [InputError, PromiseMissed, NotApplicable])
def test_an_error_is_one_line_whatever_names_it_holds(kind: type[Exception]) -> None:
    text = str(kind("/a  b/é.onnx: node \x1b[2J\nof\x9b \u202e"))
    assert text == "/a  b/é.onnx: node \\u001b[2J\\u000aof\\u009b \\u202e"
