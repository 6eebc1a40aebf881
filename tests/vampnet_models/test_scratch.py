"""Folders for work in progress, and what killed processes leave."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vampnet_models.scratch import locked_folder

HOLDS = """
import sys
from pathlib import Path
from vampnet_models.scratch import locked_folder
with locked_folder(Path(sys.argv[1]), "work-") as folder:
    (folder / "half").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


def holder(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not lock folders")
def test_what_a_killed_process_left_goes_and_what_a_living_one_holds_stays(tmp_path: Path) -> None:
    process, folder = holder(tmp_path)
    with locked_folder(tmp_path, "work-") as other:
        assert folder.is_dir() and other != folder
    process.kill()
    process.communicate()
    assert folder.is_dir()
    with locked_folder(tmp_path, "work-") as other:
        assert list(tmp_path.iterdir()) == [other]
    assert list(tmp_path.iterdir()) == []


def test_folders_of_the_users_own_stay(tmp_path: Path) -> None:
    own = [tmp_path / name for name in ("work-of-mine", "work-Aa345678", "other")]
    for folder in own:
        folder.mkdir()
    link = tmp_path / "work-abcdefgh"
    link.symlink_to(own[0])
    with locked_folder(tmp_path, "work-"):
        pass
    assert sorted(tmp_path.iterdir()) == sorted([*own, link])


def test_it_goes_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), locked_folder(tmp_path, "work-"):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []
