import os
import pickle
import struct

import pytest

from tests.vampnet_models.make_checkpoint import Call, Name, Obj, pickled
from vampnet_models.checkpoints import pickle_values as checkpoint_pickle
from vampnet_models.checkpoints.calls import CALLS
from vampnet_models.checkpoints.pickle_values import Global, Record, Rules, read_pickle
from vampnet_models.errors import InputError

PLAIN = Rules({}, lambda cls: cls.module == "some.project", lambda identifier: identifier)

VALUES = {
    "numbers": [0, 255, 70_000, -1, 2**40, -(2**90), 1.5, float("-inf")],
    "flags": (None, True, False),
    "texts": ["", "plain", "Grüße ☃", b"bytes", bytearray(b"array"), "x" * 300, b"y" * 300],
    "nested": {"a": {"b": [(1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ()]}, 3: [], None: {}},
}


def refused(data):
    with pytest.raises(InputError) as caught:
        read_pickle(data, "file.pth", PLAIN)
    message = str(caught.value)
    assert message.startswith("file.pth: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_read_as_pickle_reads_them(protocol):
    values = {**VALUES}
    if protocol < 3:  # older protocols call a constructor for bytes
        values["texts"] = [t for t in VALUES["texts"] if isinstance(t, str)]
    elif protocol < 5:
        values["texts"] = [t for t in VALUES["texts"] if not isinstance(t, bytearray)]
    assert read_pickle(pickle.dumps(values, protocol), "file.pth", PLAIN) == values


def test_shared_values_stay_shared_and_sets_become_lists():
    shared = ["one"]
    value = read_pickle(pickle.dumps([shared, shared, {"x"}, frozenset("y")], 4), "f", PLAIN)
    assert value[0] is value[1]
    assert value[2:] == [["x"], ["y"]]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (Name("os", "system"), ("touch executed",)),
        (Name("posix", "system"), ("touch executed",)),
        (Name("builtins", "eval"), ("open('executed', 'w')",)),
        (Name("__builtin__", "exec"), ("open('executed', 'w')",)),
        (Name("subprocess", "Popen"), (["touch", "executed"],)),
        (Name("some.project", "Model"), ()),
        (Name("torch", "load"), ("executed",)),
    ],
)
def test_a_call_is_refused_by_its_name_and_not_made(tmp_path, monkeypatch, function, arguments):
    monkeypatch.chdir(tmp_path)
    message = refused(pickled({"state_dict": Call(function, arguments)}))
    module = function.module.replace("__builtin__", "builtins")
    assert f"wants to call {module}.{function.name}" in message
    assert not (tmp_path / "executed").exists()


class Malicious:
    def __reduce__(self):
        return os.system, ("touch executed",)


@pytest.mark.parametrize("protocol", range(6))
def test_what_pickle_itself_writes_for_a_malicious_object_is_refused(
    tmp_path, monkeypatch, protocol
):
    monkeypatch.chdir(tmp_path)
    assert ".system" in refused(pickle.dumps([Malicious()], protocol))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"(S'touch executed'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch executed'\no.",
        b"\x80\x02cos\nsystem\n)\x81.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",
        b"\x80\x04cos\nsystem\n)}\x92.",
    ],
    ids=["INST", "OBJ", "NEWOBJ", "STACK_GLOBAL", "NEWOBJ_EX"],
)
def test_every_operation_that_could_call_is_refused(data):
    assert "wants to call os.system" in refused(data)


def test_an_object_that_is_called_instead_of_a_name_is_refused():
    assert "wants to call str" in refused(b"\x80\x02X\x01\x00\x00\x00x)R.")


def test_extension_codes_and_textual_persistent_ids_are_refused():
    assert "EXT1" in refused(b"\x80\x02\x82\x01.")
    assert "PERSID" in refused(b"Pid\n.")


def test_a_name_alone_is_kept_as_a_name():
    value = read_pickle(pickled([Name("os", "system")]), "f", PLAIN)
    assert value == [Global("os", "system")]


def test_admitted_objects_become_records_with_their_state():
    thing = Obj(Name("some.project", "Thing"), {"rate": 3})
    record = read_pickle(pickled(thing), "f", PLAIN)
    assert isinstance(record, Record)
    assert str(record.cls) == "some.project.Thing"
    assert record.attributes() == {"rate": 3}


def test_a_constructor_of_the_table_gets_the_arguments():
    rules = Rules({Global("a", "pair"): lambda x, y: [y, x]}, lambda cls: False, lambda i: i)
    assert read_pickle(pickled(Call(Name("a", "pair"), (1, 2))), "f", rules) == [2, 1]


def test_a_constructor_with_the_wrong_arguments_is_a_damaged_pickle():
    rules = Rules({Global("a", "pair"): lambda x, y: [y, x]}, lambda cls: False, lambda i: i)
    with pytest.raises(InputError, match="damaged or unreadable"):
        read_pickle(pickled(Call(Name("a", "pair"), (1,))), "f", rules)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02",
        pickled({"a": [1, 2, 3]})[:-4],
        b"\x80\x02R.",
        b"\x80\x02h\x07.",
        b"\x80\x02K\x01s.",
        b"\x80\x02}K\x01K\x02K\x03e.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".",
        b"\xff\xff\xff",
        b"\x80\x02t.",
    ],
)
def test_damage_is_one_line(data):
    assert "damaged or unreadable pickle" in refused(data)


def test_a_deeply_nested_key_is_refused_before_it_is_hashed():
    nested = b"\x80\x02})" + b"\x85" * 100_000 + b"Ns."
    assert "a dictionary key of type tuple" in refused(nested)


def test_endless_operations_are_refused(monkeypatch):
    monkeypatch.setattr(checkpoint_pickle, "_MAX_OPERATIONS", 1000)
    assert "over 1000 pickle operations" in refused(b"\x80\x02" + b"N0" * 1000 + b"N.")


def test_what_is_made_of_itself_again_and_again_is_not_put_together():
    rules = Rules(CALLS, lambda cls: False, lambda identifier: identifier)
    path, size, made_set = (
        b"cpathlib\nPosixPath\n(h\x64h\x64tR",
        b"ctorch\nSize\n((h\x64h\x64ttR",
        b"cbuiltins\nset\n((h\x64h\x64ltR",
    )
    for operations in (path, size, made_set):
        grown = b"\x80\x02X\x01\x00\x00\x00a" + (b"q\x640" + operations) * 60 + b"."
        value = read_pickle(grown, "f", rules)
        depth = 0
        while isinstance(value, Record | list | tuple):
            value = (value.made if isinstance(value, Record) else value)[0]
            depth += 1
        assert (value, depth) == ("a", 60)


def test_a_set_and_a_size_are_what_they_are_made_of():
    rules = Rules(CALLS, lambda cls: False, lambda identifier: identifier)
    data = b"\x80\x02](K\x01K\x02eq\x01cbuiltins\nset\n(h\x01tR\x86."
    value = read_pickle(data, "f", rules)
    assert value == ([1, 2], [1, 2]) and value[0] is value[1]


@pytest.mark.parametrize(
    "keys",
    [
        [i * (2**61 - 1) for i in range(1, 5)],
        [float(i * 2**61) for i in range(1, 5)],
        ["k" * 513],
        [b"k" * 513],
    ],
)
def test_keys_that_cost_more_than_their_bytes_are_refused(keys):
    assert "dictionary key" in refused(pickle.dumps(dict.fromkeys(keys), 4))


def test_numbers_and_names_have_a_length():
    long = b"\x80\x02\x8b\xb8\x0b\x00\x00" + b"\x7f" * 3000 + b"."
    assert "an integer of 23999 bits" in refused(long)
    assert "damaged" in refused(b"I" + b"9" * 5000 + b"\n.")
    assert "whose name has over 512" in refused(b"c" + b"m" * 600 + b"\nx\n.")


def test_control_characters_of_a_damaged_pickle_are_spelled_out():
    assert "\x1b" not in refused(b"I\x1b[2J\n.")
