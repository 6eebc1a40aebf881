"""A bundle that came from elsewhere: nothing leaves its folder, nothing of it is executed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import pytest

from profiles.bundle.bundled import selfcheck
from tests.profiles.bundle.test_make import bundle
from tests.vampbench.conftest import Finished, vampbench  # noqa: F401 - a fixture
from vampnet_models.onnxfile.artifact import sha256_of

Manifest = dict[str, Any]
Change = Callable[[Manifest], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundle(tmp_path)


def rewritten(folder: Path, change: Change) -> list[str]:
    """The problems that are found once the manifest was changed."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    found = selfcheck.check(folder, None, None)
    json.dumps(asdict(found), allow_nan=False)
    assert found.ok == (found.problems == ())
    return list(found.problems)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update(files=[]), "files is no list of 1 to"),
        (lambda m: m.update(models=[]), "models is no list of 1 to"),
        (lambda m: m.update(files={}), "files is no list"),
        (lambda m: m.update(files=[{}] * 10_001), "files is no list"),
        (lambda m: m.pop("models"), "models is no list"),
        (lambda m: m.update(schema=2), "none of schema 1"),
        (lambda m: m.update(libraries=7), "libraries is no list"),
        (lambda m: m.update(libraries=[{"platform": "x", "file": "/x.so"}]), "not in the list"),
        (lambda m: m["models"][0].update(portable={"file": "/etc/passwd"}), "not in the list"),
        (lambda m: m["models"][0].update(portable=3), "file is no name"),
        (lambda m: m.update(provider=3), "provider is no name"),
        (lambda m: m.update(target="\x1b[2J"), "target is no name"),
        (lambda m: m["files"].append(7), r"files\[\d\]: name is no name"),
        (lambda m: m["files"].append(m["files"][0]), "or a file twice"),
        (lambda m: m["files"][0].update(name="/etc/passwd"), "leaves the folder"),
        (lambda m: m["files"][0].update(name="../x"), "leaves the folder"),
        (lambda m: m["files"][0].update(name="models/../../x"), "leaves the folder"),
        (lambda m: m["files"][0].update(name="C:x"), "leaves the folder"),
        (lambda m: m["files"][0].update(name="..\\x"), "leaves the folder"),
        (lambda m: m["files"][0].update(name="manifest.json"), "leaves the folder, or is no path"),
        (lambda m: m["files"][0].update(name=["a"]), "name is no name"),
        (lambda m: m["files"][0].update(bytes=-1), "bytes are no size"),
        (lambda m: m["files"][0].update(bytes=True), "bytes is no number"),
        (lambda m: m["files"][0].update(sha256="0"), "sha256 is no hash"),
        (lambda m: m["models"].append(None), "name is no name"),
        (lambda m: m["models"].append(m["models"][0]), "lists a model twice"),
        (lambda m: m["models"][0].update(file="../coarse.onnx"), "not in the list of files"),
        (lambda m: m["models"][0].update(measure="x"), "neither as tokens nor as audio"),
        (lambda m: m["models"][0].update(promise="1"), "promise is no number"),
        (lambda m: m["models"][0].update(promise=10**4000), "promise is no number"),
        (lambda m: m["models"][0].update(audio_s=0), "stands for no sound"),
        (lambda m: m["models"][0].update(output="z"), "cannot be run: .*z"),
        (lambda m: m["models"][0].update(name="other"), "cannot be run"),
        (lambda m: m["models"][0].update(file="golden.npz"), "cannot be run"),
    ],
)
def test_a_manifest_that_is_not_ours_is_one_problem(
    folder: Path, change: Change, said: str
) -> None:
    (problem,) = rewritten(folder, change)
    assert re.search(said, problem), problem
    assert problem.isprintable() and len(problem) < 400


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"\xff\xfe{}", "is no JSON"),
        (b"9" * 5000, "is no JSON"),
        (b'{"schema": NaN}', "NaN is no number"),
        (b"[]", "none of schema 1"),
        (b" " * 8_000_001, "over 8000000 bytes"),
    ],
)
def test_what_is_no_manifest_is_one_line(folder: Path, content: bytes, said: str) -> None:
    (folder / "manifest.json").write_bytes(content)
    (problem,) = selfcheck.check(folder, None, None).problems
    assert said in problem and problem.isprintable()


def test_added_missing_and_linked_files_are_found(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not of the bundle")
    (folder / "numpy.py").write_text("raise SystemExit(99)")
    (folder / "models" / "extra").mkdir()
    (folder / "models" / "bad\x1bname").touch()
    (folder / "LICENSE-NOTE.txt").unlink()
    (folder / "golden.npz").unlink()
    (folder / "golden.npz").symlink_to(secret)
    (folder / "example.py").unlink()
    os.mkfifo(folder / "example.py")
    problems = selfcheck.check(folder, None, None).problems
    assert sorted(problems) == [
        "LICENSE-NOTE.txt: missing; copy the bundle again",
        "example.py: is a link or no regular file; copy the bundle again",
        "golden.npz: is a link or no regular file; copy the bundle again",
        "models/bad\\x1bname: is not of the bundle; remove it",
        "numpy.py: is not of the bundle; remove it",
    ]


def test_a_linked_folder_and_a_linked_manifest_are_not_followed(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "models").rename(tmp_path / "elsewhere")
    (folder / "models").symlink_to(tmp_path / "elsewhere")
    assert selfcheck.check(folder, None, None).problems == (
        "models: is a link or no regular file; copy the bundle again",
        "models/coarse.onnx: missing; copy the bundle again",
    )
    (folder / "manifest.json").rename(tmp_path / "manifest.json")
    (folder / "manifest.json").symlink_to(tmp_path / "manifest.json")
    (problem,) = selfcheck.check(folder, None, None).problems
    assert problem.startswith("manifest.json: is a link")


def test_the_manifests_own_hash_is_compared(
    folder: Path,
    vampbench: Callable[..., Finished],  # noqa: F811
) -> None:
    digest = sha256_of((folder / "manifest.json",))
    assert selfcheck.check(folder, None, digest.upper()).ok
    (problem,) = selfcheck.check(folder, None, "0" * 64).problems
    assert f"its SHA-256 is {digest}, not the one given" in problem
    done = vampbench("check", folder, "--manifest-sha256", "0" * 64)
    assert done.code == 1 and digest in done.stderr
    assert vampbench("check", folder, "--manifest-sha256", "7").code == 2
    whole = vampbench("check", folder, "--manifest-sha256", digest)
    assert whole.code == 0 and f"manifest sha256 {digest} (as given)" in whole.stdout


def test_check_executes_nothing_of_the_bundle(
    folder: Path,
    tmp_path: Path,
    vampbench: Callable[..., Finished],  # noqa: F811
) -> None:
    """A script, and modules that shadow what the self-check imports, each with a right hash."""
    trap = f"open({str(tmp_path / 'sprung')!r}, 'w').close(); raise SystemExit(0)"
    names = ("selfcheck.py", "numpy.py", "argparse.py", "onnxruntime/__init__.py")

    def spread(manifest: Manifest) -> None:
        manifest["files"] = [f for f in manifest["files"] if f["name"] not in names]
        for name in names:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(trap)
            size, digest = path.stat().st_size, sha256_of((path,))
            manifest["files"].append({"name": name, "bytes": size, "sha256": digest})

    own = (folder / "selfcheck.py").read_text()
    assert rewritten(folder, spread) == []
    done = vampbench("check", folder)
    assert done.code == 0 and "detect damage, not tampering" in done.stdout
    # Nor does the bundle's own script, run where it lies, import its neighbours.
    (folder / "selfcheck.py").write_text(own)
    ran = subprocess.run(
        [sys.executable, "selfcheck.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr == "FAIL: selfcheck.py: changed since the bundle was made; copy it again\n"
    assert not (tmp_path / "sprung").exists()


def test_a_model_that_reads_outside_is_not_opened(
    folder: Path,
    vampbench: Callable[..., Finished],  # noqa: F811
) -> None:
    path = folder / "models" / "coarse.onnx"
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")
    path.write_bytes(model.SerializeToString())

    def agree(manifest: Manifest) -> None:
        (entry,) = [f for f in manifest["files"] if f["name"] == "models/coarse.onnx"]
        entry.update(bytes=path.stat().st_size, sha256=sha256_of((path,)))

    rewritten(folder, agree)
    done = vampbench("check", folder)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "coarse.onnx: " in done.lines[0] and "../../secret" in done.lines[0]
