import onnxruntime
import pytest

from optimize.recipes import find_recipe
from profiles.host import available_cores
from profiles.targets import order
from vampnet_models.errors import InputError


def test_parse_keeps_order_and_threads():
    parsed = order.parse_targets("mobile, cpu:3,cuda")
    assert [t.name for t in parsed] == ["mobile", "cpu", "cuda"]
    assert parsed[1].threads == 3
    assert parsed[1].label.startswith("cpu, 3 threads, cores ")
    assert [t.label for t in parsed[::2]] == ["mobile", "cuda"]
    assert [t.provider for t in parsed] == ["", "CPUExecutionProvider", "CUDAExecutionProvider"]


def test_default_threads_are_the_available_cores():
    assert [t.threads for t in order.parse_targets("cpu,cuda")] == [available_cores(), 0]


def test_a_phone_stands_for_the_group_mobile():
    assert [t.name for t in order.parse_targets("android,cpu,ios")] == ["mobile", "cpu"]
    with pytest.raises(InputError, match=r"mobile \(the group of android, android-npu, ios"):
        order.parse_targets("android-cpu")


def test_a_target_is_found_by_its_name():
    assert order.find_target("android").provider == "CPUExecutionProvider"
    with pytest.raises(InputError, match="use cpu, cpu-native, cuda, android, android-npu, ios"):
        order.find_target("mobile")


def test_what_can_be_timed_here_has_a_place(monkeypatch):
    target, place = order.find_timed("cpu")
    assert target.multiplies_integers
    assert place == order.parse_targets("cpu")[0] == order.find_timed("cpu-native")[1]
    with pytest.raises(InputError, match="use one of cpu, cpu-native, cuda"):
        order.find_timed("android")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [place.provider])
    with pytest.raises(InputError, match=r"has no CUDAExecutionProvider; .*\(make env-cuda\)"):
        order.find_timed("cuda")


def test_more_threads_than_cores_are_refused():
    cores = available_cores()
    order.check_cores(order.parse_targets(f"cpu:{cores},cuda,mobile"))
    with pytest.raises(InputError, match=rf"cpu:999: {cores} cores are there; use at most cpu:"):
        order.check_cores(order.parse_targets("cpu:999"))


@pytest.mark.parametrize("text", ["", "tpu", "cpu:0", "cpu:x", "cuda:1", "cpu,cpu:2", "mobile:2"])
def test_bad_targets_are_input_errors(text):
    with pytest.raises(InputError):
        order.parse_targets(text)


@pytest.mark.parametrize("target", order.TARGETS, ids=lambda target: target.name)
def test_every_recipe_that_a_target_names_is_there(target):
    named = {*target.own_recipes, *(target.recipes or ())}
    named |= {*(target.codec_recipes or ()), *(target.instead or ())}
    assert {find_recipe(name).name for name in named} == named


def test_store_limits_are_listed_once():
    assert [(limit.store, limit.part) for limit in order.store_limits()] == [
        ("Google Play", "base module"),
        ("Google Play", "asset pack"),
        ("Apple App Store", "app"),
    ]
