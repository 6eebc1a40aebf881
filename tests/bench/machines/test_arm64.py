from dataclasses import replace

import numpy as np
import pytest

from bench.machines import arm64, arm64_child
from tests.profiles import graphs
from vampnet_models.onnxfile.session import open_session
from vampnet_models.records.evidence import NotRun, OnArm64


def test_an_old_qemu_is_refused_and_a_new_one_taken():
    with pytest.raises(arm64.NoMachine, match=r"7\.2\.15 miscomputes.*10"):
        arm64.checked_version("qemu-aarch64 version 7.2.15 (Debian)")
    assert arm64.checked_version("qemu-aarch64 version 10.0.13 (Debian)") == "10.0.13"
    with pytest.raises(arm64.NoMachine, match="does not start"):
        arm64.checked_version("")


def test_without_debians_tools_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(arm64.NoMachine, match="apt-get is missing"):
        arm64.machine(tmp_path / "machine")


def test_the_child_runs_each_state_as_a_session_here_would(tmp_path):
    path = graphs.save(graphs.matmul(), tmp_path / "m.onnx")
    states = np.random.default_rng(0).standard_normal((2, 3, 64)).astype(np.float32)
    feeds = graphs.save_feeds(tmp_path / "f.npz", **{"0/x": states[0], "1/x": states[1]})
    seconds = arm64_child.run(str(path), str(feeds), str(tmp_path / "o.npz"))
    assert len(seconds) == 2
    with np.load(tmp_path / "o.npz") as archive:
        expected = open_session(path).run({"x": states[1]})["y"]
        np.testing.assert_allclose(archive["1/y"], expected, rtol=1e-4, atol=1e-5)


def test_too_few_tokens_or_no_run_fail():
    row = OnArm64(
        model="coarse",
        recipe="fp16",
        sha256="0" * 64,
        measure="tokens",
        bit_equal=False,
        arm_to_x86=0.95,
        arm_to_reference=0.95,
        x86_to_reference=1.0,
        n_positions=100,
        frames=48,
        states=4,
        emulation_s=(1.0,),
    )
    assert not arm64.is_failed(row)
    assert arm64.is_failed(replace(row, arm_to_x86=0.5))
    assert arm64.is_failed(NotRun("x"))
    assert arm64.is_failed(replace(row, measure="si_sdr_db", arm_to_x86=3.0))
