"""README's twelve lines make sound of portable bundles and of native ones."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import vampbench as vb
from docs.pages import README
from tests.vampbench.conftest import write_tiny
from vampnet_models.native.library import build_library, compiler

CHAIN = ("codec_encoder", "coarse", "c2f", "codec_decoder")
SAYS = "print(sound.shape, model['coarse'].get_modelmeta().custom_metadata_map)\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("chain"))


def made(folder: Path, models: Path, *, native: bool) -> Path:
    """A bundle of the chain where README's lines look for it; of a native one coarse is native."""
    out = folder / "out" / "android"
    (out / "native").mkdir(parents=True)
    shutil.copytree(models, out / "models")
    entries = [{"name": name, "file": f"models/{name}.onnx"} for name in CHAIN]
    manifest = {"provider": "CPUExecutionProvider", "models": entries, "libraries": []}
    if native:
        coarse, place = models / "coarse.onnx", out / "models" / "coarse.onnx"
        vb.build(coarse, "int8-dynamic", output=place, native=True)
        shutil.copyfile(build_library(), out / "native" / "library.so")
        here = f"{sys.platform}-{platform.machine()}"
        manifest["libraries"] = [{"platform": here, "file": "native/library.so"}]
        entries[1] = {
            **{"name": "coarse", "file": "models/coarse.native.onnx"},
            "portable": {"file": "models/coarse.onnx"},
        }
    (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    script = files("profiles.bundle.bundled").joinpath("open_models.py")
    (out / "open_models.py").write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    return out


def played(folder: Path) -> subprocess.CompletedProcess[str]:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return subprocess.run(
        [sys.executable, "-c", code + SAYS], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_portable_bundle(models: Path, tmp_path: Path) -> None:
    made(tmp_path, models, native=False)
    done = played(tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert re.match(r"\(1, 1, \d{5,}\) ", done.stdout)


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler (g++) is here")
@pytest.mark.usefixtures("native_cache")
def test_a_native_bundle_with_its_library_and_without(models: Path, tmp_path: Path) -> None:
    out = made(tmp_path, models, native=True)
    done = played(tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "(1, 1, " in done.stdout and "vampnet.portable" in done.stdout
    (out / "native" / "library.so").write_bytes(b"of another system")
    done = played(tmp_path)
    assert done.returncode == 0 and "vampnet.portable" not in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("portable models are open in place of native ones: ")
