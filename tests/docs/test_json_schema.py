import json

import pytest

from docs.json_schema import SCHEMAS, schema_text
from vampbench.cli.console import Answer
from vampnet_models.records.generic import ANSWER, RESULTS, versioned
from vampnet_models.records.results import Results


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


def test_records_stand_once_and_are_referred_to():
    found = json.loads(schema_text(Results, RESULTS))
    assert found["properties"]["models"] == {"type": "array", "items": {"$ref": "#/$defs/Model"}}
    variant = found["$defs"]["Variant"]
    assert variant["properties"]["status"] == {"enum": ["ok", "missed", "failed", "not-applicable"]}
    kinds = variant["properties"]["profiles"]["additionalProperties"]["anyOf"]
    names = [each["$ref"].removeprefix("#/$defs/") for each in kinds]
    assert names == ["Measurement", "Estimate", "NotMeasured", "Failure"]
    said = [found["$defs"][name]["properties"]["kind"]["enum"] for name in names]
    assert said == [["measurement"], ["estimate"], ["not-measured"], ["failed"]]
