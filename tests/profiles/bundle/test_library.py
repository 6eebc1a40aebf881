"""A bundle with the operator library, by a real compiler; skipped where there is none."""

import json
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.precision.int8.dynamic import DynamicInt8
from profiles.bundle import library
from profiles.bundle.make import Part, write_bundle
from profiles.targets.order import find_target
from tests.optimize.graphs import convert, model, normal
from tests.profiles.bundle.test_make import selfcheck
from vampnet_models.errors import InputError
from vampnet_models.native.library import build_library, compiler, kernels_of
from vampnet_models.onnxfile.artifact import open_artifact, save_model, sha256_of
from vampnet_models.onnxfile.session import open_session

pytestmark = [
    pytest.mark.skipif(compiler() is None, reason="no C++ compiler (g++) is here"),
    pytest.mark.usefixtures("native_cache"),
]

PRODUCT = """(float[1, t, 64] x) => (float[1, t, 80] y, int64[1, t] tokens) {
 y = MatMul(x, w) tokens = ArgMax <axis = 2, keepdims = 0> (y) }"""
HERE = f"{sys.platform}-{platform.machine()}"


def part(folder: Path, native: bool) -> Part:
    """A model in 8 bits, with or without the library's operator, and what it answers."""
    feeds = {"x": normal(1, 40, 64, seed=1)}
    source, made = (model(PRODUCT, w=normal(64, 80)) for _ in range(2))
    convert(made, DynamicInt8(native=native))
    path = folder / ("m.native.onnx" if native else "m.onnx")
    save_model(source, folder / "source.onnx")
    save_model(made, path)
    expected, found = (
        open_session(each).run(feeds)["tokens"] for each in (folder / "source.onnx", path)
    )
    return Part(
        name="m",
        artifact=open_artifact(path),
        recipe="int8-dynamic-native" if native else "int8-dynamic",
        source_sha256="0" * 64,
        output="tokens",
        feeds=feeds,
        references={"tokens": expected},
        variants={"tokens": found},
        counted=np.ones((1, 1), bool),
        accuracy=None,
        profile=None,
        sounds=False,
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    build_library()
    both = replace(part(tmp_path, native=True), portable=part(tmp_path, native=False))
    out = tmp_path / "bundle"
    write_bundle([both], out, target=find_target("cpu-native"), weights="x")
    return out


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def test_it_ships_with_its_sources_and_is_used(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    made = next(each for each in manifest["libraries"] if each["platform"] == HERE)
    assert (bundle / made["file"]).is_file() and "-O3" in made["build"] and made["compiler"]
    assert {Path(each).name for each in made["sources"]} >= {"product.cpp", "library.cpp"}
    assert all((bundle / each).is_file() for each in made["sources"])
    assert kernels_of(bundle / made["file"]) == kernels_of(build_library())
    code, found = selfcheck(bundle)
    assert code == 0, found["problems"]
    assert [row["file"] for row in found["models"]] == ["models/m.onnx", "models/m.native.onnx"]
    assert all(row["to_maker"] == 1.0 and row["median_s"] > 0 for row in found["models"])
    assert found["notes"] == []


def test_its_build_line_makes_it_again(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    made = manifest["libraries"][0]
    folder = bundle / "native" / "sources"
    (bundle / made["file"]).unlink()
    subprocess.run(made["build"], shell=True, check=True, cwd=folder)
    assert (bundle / made["file"]).stat().st_size > 10_000


def test_where_it_is_left_out_the_portable_model_is_checked(bundle: Path) -> None:
    code, found = selfcheck(bundle, "--portable")
    assert code == 0
    assert [row["file"] for row in found["models"]] == ["models/m.onnx"]
    assert found["notes"] == ["m: left out, as asked: the portable model is the one to open here"]


def test_on_another_machine_the_portable_model_is_checked(bundle: Path) -> None:
    rewritten(bundle, lambda m: m["libraries"][0].update(platform="plan9-mips"))
    code, found = selfcheck(bundle)
    assert (code, len(found["models"])) == (0, 1)
    assert found["notes"][0].startswith(f"m: no operator library for {HERE}")


def test_one_that_does_not_load_is_told(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    path = bundle / next(e["file"] for e in manifest["libraries"] if e["platform"] == HERE)
    path.write_bytes(b"of another system")

    def change(manifest: dict[str, Any]) -> None:
        (entry,) = (each for each in manifest["files"] if (bundle / each["name"]) == path)
        entry.update(bytes=path.stat().st_size, sha256=sha256_of((path,)))

    rewritten(bundle, change)
    code, found = selfcheck(bundle)
    assert (code, len(found["models"])) == (0, 1)
    assert "does not load here" in found["notes"][0]


def test_a_changed_one_is_a_problem(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    with (bundle / manifest["libraries"][0]["file"]).open("ab") as file:
        file.write(b"x")
    code, found = selfcheck(bundle)
    assert code == 1 and "changed since the bundle was made" in found["problems"][0]


def test_without_a_compiler_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match="pip install ziglang, install g"):
        library.write_libraries(tmp_path)


def opened(bundle: Path) -> subprocess.CompletedProcess[str]:
    """What `open_models.py` opens, by which kind of operators, in a process without our library."""
    script = (
        "import sys; from runpy import run_path\n"
        f"models = run_path({str(bundle / 'open_models.py')!r})['open_models']()\n"
        "print({name: each._model_path for name, each in models.items()})"
    )
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )


def test_its_models_open_with_the_library_and_without_it_the_portable_ones(bundle: Path) -> None:
    done = opened(bundle)
    assert "m.native.onnx" in done.stdout and done.stderr == ""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    (bundle / next(e["file"] for e in manifest["libraries"] if e["platform"] == HERE)).unlink()
    done = opened(bundle)
    assert "models/m.onnx" in done.stdout
    assert "portable models are open in place of native ones:" in done.stderr
    rewritten(bundle, lambda m: m["libraries"][0].update(platform="plan9-mips"))
    assert f"there is no library for {HERE}" in opened(bundle).stderr
