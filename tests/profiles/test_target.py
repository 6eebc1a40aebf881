import pytest

from profiles import target as targets
from profiles.host import available_cores
from vampnet_models.errors import InputError


def test_default_threads_are_the_available_cores():
    assert targets.cpu().threads == targets.available_cores()


def test_parse_keeps_order_and_threads():
    parsed = targets.parse_targets("mobile, cpu:3,cuda")
    assert [t.name for t in parsed] == ["mobile", "cpu", "cuda"]
    assert parsed[1].threads == 3
    assert parsed[1].label.startswith("cpu, 3 threads, cores ")


def test_a_phone_stands_for_the_group_mobile():
    assert [t.name for t in targets.parse_targets("android,cpu,ios")] == ["mobile", "cpu"]
    assert [p.name for p in targets.PHONES] == ["android", "android-npu", "ios"]
    with pytest.raises(InputError, match=r"mobile \(the group of android, android-npu, ios\)"):
        targets.parse_targets("android-cpu")


def test_a_place_is_found_by_its_name():
    assert targets.place("android").provider == "CPUExecutionProvider"
    with pytest.raises(InputError, match="use cpu, cuda, android, android-npu, ios"):
        targets.place("mobile")


def test_more_threads_than_cores_are_refused():
    cores = available_cores()
    targets.check_cores(targets.parse_targets(f"cpu:{cores},cuda,mobile"))
    with pytest.raises(InputError, match=rf"cpu:999: {cores} cores are there; use at most cpu:"):
        targets.check_cores(targets.parse_targets("cpu:999"))


@pytest.mark.parametrize("text", ["", "tpu", "cpu:0", "cpu:x", "cuda:1", "cpu,cpu:2"])
def test_bad_targets_are_input_errors(text):
    with pytest.raises(InputError):
        targets.parse_targets(text)


def test_core_spans():
    assert targets._spans((0, 1, 2, 5)) == "0-2,5"
