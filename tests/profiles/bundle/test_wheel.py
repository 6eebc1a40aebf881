"""The operator library as wheels; skipped where the compiler for other machines is missing."""

import importlib.util
import zipfile
from pathlib import Path

import pytest

from profiles.bundle import library
from profiles.bundle.wheel import make_wheels
from vampnet_models.errors import InputError
from vampnet_models.native.library import OPERATORS, SOURCES, sources_sha256
from vampnet_models.native.packaged import HASH_FILE, PACKAGE

has_tools = all(importlib.util.find_spec(name) is not None for name in ("ziglang", "wheel"))


@pytest.mark.long
@pytest.mark.skipif(not has_tools, reason="the extra ops is not installed")
def test_each_machine_gets_a_wheel_with_library_and_sources(tmp_path: Path) -> None:
    made = make_wheels(tmp_path)
    machines = {path.stem.rpartition("manylinux_2_28_")[2] for path in made}
    assert machines == {"x86_64", "aarch64"}
    for path in made:
        machine = path.stem.rpartition("manylinux_2_28_")[2]
        with zipfile.ZipFile(path) as wheel:
            names = set(wheel.namelist())
            assert f"{PACKAGE}/vampnet_native-{machine}.so" in names
            sources = {each.relative_to(OPERATORS).as_posix() for each in SOURCES}
            assert {f"{PACKAGE}/sources/{source}" for source in sources} <= names
            assert wheel.read(f"{PACKAGE}/{HASH_FILE}").decode().strip() == sources_sha256()


def test_without_that_compiler_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="ziglang is not installed"):
        make_wheels(tmp_path / "out")
    assert not (tmp_path / "out").exists()
