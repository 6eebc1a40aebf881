import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from profiles.imported.times import import_profile
from tests.profiles import graphs
from vampnet_models.errors import InputError
from vampnet_models.records.generic import as_json
from vampnet_models.records.imported import EVIDENCE

FIXTURES = Path(__file__).parents[2] / "fixtures" / "imported"

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
    record = as_json(found)
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


def test_all_that_perf_test_prints_is_taken():
    found = import_profile(FIXTURES / "perf_test_printed.txt", "Pixel 9", "coarse")
    assert (found.median_s, found.p10_s, found.p90_s) == (0.0238841, None, 0.0253302)
    assert (found.runs, found.first_run_s, found.session_s) == (100, 0.031, 0.118)
    assert found.peak_rss_bytes == 52428800
    assert found.warnings == ("the tool kept no single times: this is its P50 and P90",)


def test_a_result_file_with_statistics_keeps_its_rows_alone():
    found = import_profile(FIXTURES / "perf_test_results.csv", "Pixel 9")
    assert (found.runs, found.median_s, min(found.samples_s)) == (5, 0.0238841, 0.0095)
    assert found.warnings == ()


def test_the_older_form_of_the_printed_statistics(tmp_path):
    text = "Total iterations:1000\nAverage time cost:58.8 ms\nP50 Latency is 0.0587sec\n"
    found = import_profile(write(tmp_path, text), "x")
    assert (found.runs, found.median_s) == (1000, 0.0587)
    no_statistics = import_profile(write(tmp_path, text.splitlines()[1]), "x")
    assert no_statistics.median_s == pytest.approx(0.0588)


def test_what_ai_hubs_client_downloads():
    found = import_profile(FIXTURES / "ai_hub.json", "Galaxy S24", "coarse")
    assert (found.runs, found.median_s) == (10, pytest.approx(0.004185))
    assert (found.session_s, found.peak_rss_bytes) == (0.24, 61_440_000)
    assert found.compute_units == {"NPU": 2, "CPU": 1}


def test_a_downloaded_profile_is_named_by_its_job(tmp_path):
    path = tmp_path / "coarse.npu_jgz2ex1zp_results.json"
    path.write_text(json.dumps(HUB))
    assert import_profile(path, "x").model == "coarse.npu"


def trace(tmp_path, runs):
    """A trace that ONNX Runtime's profiler really wrote."""
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "trace")
    model = graphs.save(graphs.slow_matmul(3), tmp_path / "m.onnx")
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for _ in range(runs):
        session.run(None, {"x": np.ones((4, 64), np.float32)})
    return Path(session.end_profiling())


def test_a_trace_of_the_profiler_keeps_its_runs_and_providers(tmp_path):
    found = import_profile(trace(tmp_path, 5), "Pixel 9", "m")
    assert found.tool == "ONNX Runtime's profiler"
    assert (found.runs, len(found.samples_s)) == (4, 4)
    assert found.median_s > 0
    assert found.first_run_s is not None and found.first_run_s > 0
    assert found.session_s is not None and found.session_s > 0
    assert found.compute_units == {"CPUExecutionProvider": 3}
    assert "upper bounds" in found.warnings[0]


def test_a_trace_without_a_second_run_and_one_of_two_sessions_are_refused(tmp_path):
    one = trace(tmp_path, 1)
    with pytest.raises(InputError, match="holds 1 run; the first warms up"):
        import_profile(one, "x")
    both = json.loads(one.read_text()) * 2
    with pytest.raises(InputError, match="2 sessions"):
        import_profile(write(tmp_path, json.dumps(both)), "x")


def test_appended_runs_are_pointed_out_and_mixed_models_refused(tmp_path):
    assert "2 runs" in import_profile(write(tmp_path, ROWS + ROWS), "x").warnings[0]
    with pytest.raises(InputError, match="2 models"):
        import_profile(write(tmp_path, ROWS + ROWS.replace("coarse", "c2f")), "x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing of it", "no result of onnxruntime_perf_test"),
        ("", "no result of onnxruntime_perf_test"),
        ('[{"cat": "gpu", "dur": 3}]', "no result of"),
        ('[{"cat": "Session", "name": "model_run", "dur": "x"}]', "stands where a number"),
        ("{broken", "damaged JSON"),
        ('{"a": 1}', "no result of"),
        ("[1, 2]", "no result of"),
        ('{"execution_summary": 3}', "damaged profile"),
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
