"""A tool's process: what it took and said, and that nothing of ours ends or hangs with it."""

import sys
import time
from pathlib import Path

import pytest

from bench.accuracy.child import Limits, Ran, end_of_words, run_child

_SECONDS = Limits(seconds=60)


def ran(code: str, folder: Path, limits: Limits = _SECONDS) -> Ran:
    return run_child([sys.executable, "-c", code], folder / "log", limits)


def test_a_process_that_ends_well_has_no_reason(tmp_path: Path) -> None:
    found = ran("block = b'1' * 60_000_000; print('done', len(block))", tmp_path)
    assert found.failed is None
    assert found.peak_rss_bytes > 60e6 and found.seconds > 0 and found.cpu_seconds > 0
    assert (tmp_path / "log").read_text() == "done 60000000\n"


def test_a_failure_is_told_by_the_end_of_its_own_words(tmp_path: Path) -> None:
    code = "print('at work'); raise ValueError('\\x1b[31mno scale of /home/someone/models/a.onnx')"
    assert ran(code, tmp_path).failed == "ValueError: no scale of a.onnx"
    assert ran("import sys; sys.exit(3)", tmp_path).failed == "exit code 3, nothing said"
    crash = "import os, signal; print('half', flush=True); os.kill(os.getpid(), signal.SIGSEGV)"
    assert ran(crash, tmp_path).failed == "signal SIGSEGV: half"


def test_words_are_one_short_line_without_paths_or_control_characters() -> None:
    said = "first\nsecond ../a/b.py:3, ~/c/d.npz, https://example.org/e?f=1 and 1/2\x07\n\n"
    assert end_of_words(said) == "second b.py:3, d.npz, and 1/2\\u0007"
    assert end_of_words("60%\rdone\r") == "done"
    long = end_of_words("word " * 1000)
    assert len(long) <= 304 and long.startswith("... ")
    assert end_of_words("a.b.ShapeError: no\n 10%|█ | 1/10") == "a.b.ShapeError: no"
    assert end_of_words("") == ""


def test_a_process_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    child = (
        f"import pathlib, time\\nwhile True: pathlib.Path({str(mark)!r}).touch(); time.sleep(.1)"
    )
    code = f'import subprocess, sys; subprocess.run([sys.executable, "-c", """{child}"""])'
    found = ran(code, tmp_path, Limits(seconds=3))
    assert found.failed == "ended after its limit of 3 s"
    assert mark.exists()
    mark.unlink()
    time.sleep(0.5)
    assert not mark.exists()


@pytest.mark.parametrize("within", ["{}", "subprocess.run([sys.executable, '-c', {!r}])"])
def test_a_process_that_eats_memory_is_ended(tmp_path: Path, within: str) -> None:
    eater = "import time; block = bytearray(b'1') * 400_000_000; time.sleep(60)"
    code = f"import subprocess, sys; {within.format(eater)}"
    found = ran(code, tmp_path, Limits(peak_bytes=3e8, seconds=60))
    assert found.failed == "ended at its limit of 0.3 GB"
    assert 3e8 < found.peak_rss_bytes < 1e9
