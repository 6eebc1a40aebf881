import json

import pytest

from docs.json_schema import SCHEMAS, schema_text
from vampbench.cli.console import Answer
from vampnet_models.records.generic import ANSWER, versioned


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_the_page_holds_the_schema_of_today(path):
    kind, version = SCHEMAS[path]
    assert path.read_text(encoding="utf-8") == schema_text(kind, version)


def test_the_schema_names_what_an_answer_holds():
    found = json.loads(schema_text(Answer, ANSWER))
    answer = versioned(Answer("verify", {}, (), ("lost",)), ANSWER)
    assert [*answer] == [*found["properties"]] == found["required"]
    assert found["properties"]["command"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert found["properties"]["errors"] == {"type": "array", "items": {"type": "string"}}
