"""The wire schema is a promise: a change in it must be meant."""

import json
from pathlib import Path

import pytest
from msgspec import inspect

from protocol.limits import MAX_UPLOAD
from protocol.messages import MESSAGES
from protocol.schema import _type, describe, on_the_wire

SNAPSHOT = Path(__file__).parent.parent / "vectors" / "schema.json"


def test_the_schema_has_not_drifted() -> None:
    """If this change is meant, write the file anew with scripts/make_protocol_vectors.py."""
    assert json.loads(SNAPSHOT.read_text()) == on_the_wire(describe())


def test_every_message_and_field_is_described() -> None:
    described = {entry["name"]: entry for entry in describe()["messages"]}
    for message in MESSAGES:
        fields = [field["name"] for field in described[message.__name__]["fields"]]
        assert fields == list(message.__struct_fields__)
    assert described["Redeem"]["type"] == "0x10"
    assert described["Redeem"]["sender"] == "terminal"
    assert described["Closing"]["sender"] == "server"


def test_lists_say_what_is_in_them_and_how_much_of_it() -> None:
    described = describe()
    fields = {
        f"{entry['name']}.{field['name']}": field
        for entry in described["messages"]
        for field in entry["fields"]
    }
    totals = fields["Reconciliation.totals"]
    assert totals == {"name": "totals", "type": "list of BatchTotal", "max_length": 6, "required": True}
    assert fields["BatchUpload.items"]["max_length"] == MAX_UPLOAD
    assert "max_length" not in fields["BatchUploadReply.results"]
    assert fields["RedeemReply.receipt"]["type"] == "list of str"
    kind, *_ = described["items"]["BatchItem"]["fields"][1:]
    assert kind["name"] == "kind"
    assert "reversal" in kind["pattern"]


def test_words_are_not_part_of_the_promise() -> None:
    described = {"about": "a", "fields": [{"name": "at", "note": "n", "required": True}]}
    assert on_the_wire(described) == {"fields": [{"name": "at", "required": True}]}


def test_no_field_may_be_a_float() -> None:
    with pytest.raises(TypeError):
        _type(inspect.FloatType(), {})
