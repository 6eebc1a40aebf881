import getpass
import json
import platform
import time
from dataclasses import replace
from pathlib import Path

import pytest

from profiles import host
from vampnet_models.records.generic import as_json
from vampnet_models.records.host import Host
from vampnet_models.records.variant import SourceFacts, VariantRecord


def test_facts_are_json_and_name_no_machine():
    record = json.dumps(as_json(host.describe_host()))
    assert '"cpu"' in record
    assert platform.node() not in record or not platform.node()
    assert str(Path.home()) not in record
    assert getpass.getuser() == "root" or getpass.getuser() not in record


def test_versions_of_the_runtime_travel_with_the_facts():
    assert "onnxruntime" in host.describe_host().versions


def test_quota_of_cgroup_version_2(tmp_path):
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert host.quota_cores(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert host.quota_cores(tmp_path) is None


def test_quota_of_cgroup_version_1(tmp_path):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("200000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert host.quota_cores(tmp_path) == 2.0
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert host.quota_cores(tmp_path) is None


def test_memory_is_cut_by_the_cgroup(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 900 kB\n")
    assert host.memory_bytes(tmp_path, tmp_path) == (1000 * 1024, 900 * 1024)
    (tmp_path / "memory.max").write_text("512000\n")
    (tmp_path / "memory.current").write_text("112000\n")
    assert host.memory_bytes(tmp_path, tmp_path) == (512000, 400000)


@pytest.mark.skipif(platform.system() != "Linux", reason="/proc/stat is Linux")
def test_busy_seconds_grow_with_work():
    cores = host.affinity()
    before = host.busy_s(cores)
    start = time.process_time()
    while time.process_time() - start < 0.1:
        pass
    assert before is not None
    assert host.busy_s(cores) - before >= 0.05


def test_differences_name_the_fact():
    mine = host.describe_host()
    assert host.differences(mine, mine) == ()
    (line,) = host.differences(mine, replace(mine, cores=99))
    assert line.startswith("cores: 99 then")


@pytest.mark.parametrize(
    ("flags", "warns"),
    [
        (("avx2", "fma"), True),
        (("avx2", "avx512f"), True),
        (("avx2", "avx_vnni"), False),
        (("avx2", "avx512f", "avx512_vnni"), False),
        (("asimd", "asimddp"), False),
    ],
)
def test_a_processor_without_vnni_is_told_of_products_that_it_cuts(flags, warns):
    records = [record("fp16"), record("int8-static", saturates=True)]
    found = host.saturation(records, Host(flags=flags))
    assert (found is not None) == warns
    assert found is None or found.startswith("m.onnx int8-static: this processor has no VNNI")
    assert host.saturation([record("int8-dynamic")], Host(flags=flags)) is None


def record(recipe, saturates=False):
    return VariantRecord(
        recipe=recipe,
        role="generic",
        model="m.onnx",
        bytes=1,
        sha256="",
        source=SourceFacts("m.onnx", 1, ""),
        calibration=None,
        versions={},
        fusions={},
        unmatched=(),
        precision={},
        float_nodes=(),
        saturates=saturates,
    )
