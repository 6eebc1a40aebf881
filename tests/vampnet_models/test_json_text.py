"""What only JSON's syntax allows, and what not even that, is a ValueError."""

import pytest

from vampnet_models.json_text import parse_json

NO_JSON = ["", "[" * 100_000, '{"a":' * 100_000, "NaN", "[-Infinity]", "1e999", "9" * 10_000]


@pytest.mark.parametrize("text", [*NO_JSON, str(2**63)], ids=lambda text: text[:8])
def test_it_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_what_is_json_is_read():
    assert parse_json('{"a": [1, -2.5, null, true, 4611686018427387904]}') == {
        "a": [1, -2.5, None, True, 2**62]
    }
