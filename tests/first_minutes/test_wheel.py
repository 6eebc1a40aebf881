"""A wheel built from the tree, installed where there is neither the tree nor anything else."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.first_minutes.bare import ROOT, clone, environment, furnish, has_index
from tests.first_minutes.watched import Watched, watch

LIMIT_S = 1_800.0


def test_every_folder_and_data_file_is_listed_for_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["tool"]["setuptools"]
    tops = {name.partition(".")[0] for name in listed["packages"]}
    files = [
        path.relative_to(ROOT)
        for top in tops
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    modules = {".".join(path.parent.parts) for path in files if path.suffix == ".py"}
    assert modules == set(listed["packages"])
    patterns = [
        Path(*package.split("."), pattern)
        for package, each in listed["package-data"].items()
        for pattern in each
    ]
    data = [path for path in files if path.suffix != ".py"]
    assert len(data) > 10
    assert [p for p in data if not any(p.match(str(each)) for each in patterns)] == []


@pytest.mark.long
def test_a_wheel_does_the_whole_job(tmp_path: Path) -> None:
    variables = environment(tmp_path)
    if not has_index(tmp_path, variables):
        pytest.skip("no package index can be reached, so the wheel's dependencies cannot be had")
    tree, work = tmp_path / "tree", tmp_path / "work"
    clone(tree)
    tree.joinpath("constraints.txt").rename(tmp_path / "constraints.txt")
    work.mkdir()
    furnish(work)

    def typed(command: str) -> Watched:
        done = watch(command, work, variables, LIMIT_S)
        assert done.code == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    typed("python3 -m pip wheel --quiet --no-deps -w ../dist ../tree && rm -r ../tree")
    typed("python3 -m venv ../venv")
    typed("../venv/bin/python -m pip install --quiet -c ../constraints.txt ../dist/*.whl")
    variables["PATH"] = f"{tmp_path / 'venv' / 'bin'}:{variables['PATH']}"
    where = typed("python -c 'import vampbench; print(vampbench.__file__)'").stdout
    assert Path(where).is_relative_to(tmp_path / "venv")

    typed("vampbench demo -o demo --rounds 3")
    results = json.loads(typed("vampbench overview demo --json").stdout)["result"]
    assert set(results["lengths"]) == {"codec_encoder", "coarse", "c2f", "codec_decoder"}
    assert (work / "demo" / "report.html").stat().st_size > 100_000
    typed("vampbench bundle demo --target cpu -o bundle")
    assert "ok on CPUExecutionProvider" in typed("python bundle/selfcheck.py").stdout
    typed("python bundle/example.py song.wav varied.wav")
    assert (work / "varied.wav").stat().st_size == (work / "song.wav").stat().st_size
    typed("vampbench import codec.pth coarse.pth c2f.pth -o models")
    typed(
        "vampbench run models --audio recordings -o run "
        "--recipes int8-dynamic --target android --rounds 3"
    )
    (variant,) = json.loads((work / "run/results.json").read_text())["models"][0]["variants"]
    assert variant["recipe"] == "int8-dynamic"
