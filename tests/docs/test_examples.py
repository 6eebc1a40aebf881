"""The loading examples run as they are shown."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.mark.parametrize("name", sorted(p.name for p in EXAMPLES.glob("*.py")))
def test_an_example_goes_from_audio_to_audio(name, small_models):
    command = [sys.executable, str(EXAMPLES / name), str(small_models)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"(\d+) samples -> (\d+) frames -> (\d+) samples\n", done.stdout)
    assert found is not None
    samples, frames, out = map(int, found.groups())
    assert frames == -(-samples // 768)
    assert samples <= out <= frames * 768


def test_the_first_example_needs_nothing_of_ours():
    text = (EXAMPLES / "load_with_onnxruntime.py").read_text()
    assert set(re.findall(r"^(?:import|from) (\w+)", text, re.M)) == {
        "os",
        "sys",
        "pathlib",
        "numpy",
        "onnxruntime",
    }
