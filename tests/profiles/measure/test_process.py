import gc
import os
import platform
import signal

import numpy as np
import pytest

from profiles.measure.process import ChildFailed, child
from profiles.place import cpu
from tests.profiles import graphs


@pytest.fixture
def product(tmp_path):
    path = graphs.save(graphs.matmul(), tmp_path / "modèle un.onnx")
    return path, graphs.save_feeds(tmp_path / "feeds.npz", x=np.ones((5, 64), np.float32))


def test_child_opens_runs_and_counts(product):
    with child(*product, cpu(1)) as process:
        assert process.ready["session_s"] > 0
        samples = process.run(3)
        assert len(samples) == 3
        assert all(s > 0 for s in samples)
        assert process.peak_rss_bytes() >= process.ready["base_rss_bytes"] > 10_000_000


def test_bound_inputs_and_outputs_run(product):
    with child(*product, cpu(1), bind="cpu") as process:
        assert len(process.run(2)) == 2


@pytest.mark.skipif(platform.system() != "Linux", reason="VmHWM is Linux")
def test_peak_memory_is_the_childs_own(product):
    ballast = np.ones(60_000_000)  # 480 MB in the parent
    try:
        with child(*product, cpu(1)) as process:
            loaded = process.ready["rss_after_load_bytes"]
            assert 10_000_000 < loaded < process.peak_rss_bytes() + 1_000_000 < 300_000_000
    finally:
        del ballast
        gc.collect()


def test_feeds_that_do_not_fit_are_named(tmp_path, product):
    feeds = graphs.save_feeds(tmp_path / "other.npz", z=np.ones(3, np.float32))
    with (
        pytest.raises(ChildFailed, match=r"feeds have \['z'\].*takes \['x'\]"),
        child(product[0], feeds, cpu(1)),
    ):
        pass


def test_feeds_of_a_wrong_shape_end_the_child_with_the_reason(tmp_path, product):
    feeds = graphs.save_feeds(tmp_path / "wide.npz", x=np.ones((5, 65), np.float32))
    with child(product[0], feeds, cpu(1)) as process, pytest.raises(ChildFailed, match="65"):
        process.run()


def test_a_killed_child_says_so(product):
    with child(*product, cpu(1)) as process:
        os.kill(process._process.pid, signal.SIGKILL)
        with pytest.raises(ChildFailed, match=r"killed.*memory"):
            process.run()


def test_the_process_is_gone_after_the_block(product):
    with child(*product, cpu(1)) as process:
        pid = process._process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_nothing_of_it_lies_in_the_temporary_folder(product, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with child(*product, cpu(1)) as process:
        process.run(1)
        # A process that is killed here leaves nothing, for nothing has a name.
        assert list(folder.iterdir()) == []
