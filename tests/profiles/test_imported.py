import json

import pytest

from profiles.imported import EVIDENCE, import_profile
from vampnet_models.errors import InputError

ROWS = "".join(f"coarse,{0.010 + 0.001 * i},52428800,98,{i}\n" for i in range(5))
PRINTED = """Session creation time cost: 0.25 s
Average inference time cost: 12.5 ms
Peak working set size: 1048576 bytes
"""
HUB = {
    "execution_summary": {
        "estimated_inference_time": 1500,
        "all_inference_times": [1400, 1500, 1700],
        "estimated_inference_peak_memory": 4096,
        "warm_load_time": 250000,
    },
    "execution_detail": [
        {"name": "a", "compute_unit": "NPU"},
        {"name": "b", "compute_unit": "CPU"},
    ],
}


def write(tmp_path, text):
    path = tmp_path / "profile"
    path.write_text(text)
    return path


def test_a_result_file_of_perf_test_keeps_its_samples(tmp_path):
    found = import_profile(write(tmp_path, ROWS), "Pixel 9")
    assert found.samples_s == pytest.approx((0.010, 0.011, 0.012, 0.013, 0.014))
    assert found.median_s == pytest.approx(0.012)
    assert (found.model, found.device, found.peak_rss_bytes) == ("coarse", "Pixel 9", 52428800)
    record = found.as_json()
    assert (record["kind"], record["evidence"]) == ("imported", EVIDENCE)


def test_what_perf_test_prints_has_an_average_and_says_that_there_is_no_spread(tmp_path):
    found = import_profile(write(tmp_path, PRINTED), "Pixel 9", "coarse")
    assert (found.median_s, found.session_s, found.peak_rss_bytes) == (0.0125, 0.25, 1048576)
    assert found.p10_s is None
    assert "average" in found.warnings[0]


def test_a_profile_of_ai_hub_is_read_in_microseconds(tmp_path):
    found = import_profile(write(tmp_path, json.dumps(HUB)), "Galaxy S24", "coarse")
    assert found.median_s == pytest.approx(0.0015)
    assert found.session_s == pytest.approx(0.25)
    assert found.compute_units == {"NPU": 1, "CPU": 1}
    assert found.tool == "Qualcomm AI Hub"


def test_appended_runs_are_pointed_out_and_mixed_models_refused(tmp_path):
    assert "2 runs" in import_profile(write(tmp_path, ROWS + ROWS), "x").warnings[0]
    with pytest.raises(InputError, match="2 models"):
        import_profile(write(tmp_path, ROWS + ROWS.replace("coarse", "c2f")), "x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing of it", "neither a result"),
        ("", "neither a result"),
        ("{broken", "damaged JSON"),
        ('{"a": 1}', "execution_summary"),
        ("[1, 2]", "execution_summary"),
        ('{"execution_summary": {}}', "no inference time"),
        ('{"execution_summary": {"all_inference_times": ["fast"]}}', "'fast'"),
        ('{"execution_summary": {"all_inference_times": [0]}}', "not above zero"),
        ('{"execution_summary": {"all_inference_times": 3}}', "damaged profile"),
        ("m,-0.5,1,1,0\n", "not above zero"),
    ],
)
def test_bad_files_get_one_line(tmp_path, text, says):
    with pytest.raises(InputError, match=says) as error:
        import_profile(write(tmp_path, text), "x")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_binary_one_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        import_profile(tmp_path / "none", "x")
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="cannot be read"):
        import_profile(tmp_path / "b", "x")
