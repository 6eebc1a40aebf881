"""A copy of the checkout in an environment that has nothing but Python, make and system tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from calibration.audio.samples import write_samples

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "vampnet_models" / "reference"
SYSTEM = ("/usr/bin", "/bin")
KEPT_VARIABLES = ("PIP_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""How pip finds its index here; nothing else of this environment is taken along."""

BUILDS = "setuptools>=77"
"""What pyproject.toml needs for a build: with an index, pip finds it."""

SOUNDS = ("joplin-maple-leaf-rag", "speech-2")
"""Two recordings: README says that it takes no more."""


def clone(to: Path) -> None:
    """Copy what git would: tracked files, and new ones that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def furnish(folder: Path) -> None:
    """Lay down what README says is the user's own: checkpoints, recordings and a song."""
    for checkpoint in REFERENCE.glob("*.pth"):
        shutil.copy(checkpoint, folder)
    (folder / "recordings").mkdir()
    kept = [path for path in write_samples(folder / "pack") if path.stem in SOUNDS]
    assert len(kept) == len(SOUNDS)
    for path in kept:
        shutil.move(path, folder / "recordings")
    shutil.rmtree(folder / "pack")
    shutil.copy(folder / "recordings" / kept[0].name, folder / "song.wav")


def environment(room: Path) -> dict[str, str]:
    """Variables of a bare machine: a home of its own, this Python, and the system's tools."""
    for name in ("bin", "home", "tmp"):
        (room / name).mkdir()
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    (room / "bin" / "python3").symlink_to(python)
    kept = {k: v for k, v in os.environ.items() if k.upper().startswith(KEPT_VARIABLES)}
    return kept | {
        "PATH": os.pathsep.join([str(room / "bin"), *SYSTEM]),
        "HOME": str(room / "home"),
        "TMPDIR": str(room / "tmp"),
        "LANG": "C.UTF-8",
    }


def has_index(room: Path, variables: dict[str, str]) -> bool:
    """Whether pip finds a package index here."""
    asked = ["python3", "-m", "pip", "download", "--quiet", "--no-deps", "-d", "tmp", BUILDS]
    done = subprocess.run(asked, cwd=room, env=variables, capture_output=True, check=False)
    return done.returncode == 0


def install_without_index(checkout: Path, room: Path, variables: dict[str, str]) -> None:
    """Do what `make install` does with this environment's packages, those that ours needs alone."""
    subprocess.run(["python3", "-m", "venv", ".venv"], cwd=checkout, env=variables, check=True)
    packages = room / "packages"
    packages.mkdir()
    for found in needed("vampnet-workbench"):
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            link = packages / top
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(top))))
    (site,) = (checkout / ".venv" / "lib").glob("python3*/site-packages")
    (site / "bare.pth").write_text(f"{packages}\n{checkout}\n", encoding="utf-8")
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    about = packages / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    lines = ("Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}")
    (about / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, entry in project["scripts"].items():
        module, function = entry.split(":")
        command = checkout / ".venv" / "bin" / name
        lines = (
            f"#!{checkout}/.venv/bin/python",
            "import sys",
            f"from {module} import {function}",
            f"sys.exit({function}())",
        )
        command.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command.chmod(0o755)
    (checkout / ".venv" / ".installed").touch()


def needed(name: str) -> list[Distribution]:
    """The installed packages that a package needs, and those that they need, without itself."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        current = distribution(waiting.pop())
        for text in current.requires or ():
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                key = wanted.name.lower()
                if key not in found:
                    found[key] = distribution(wanted.name)
                    waiting.append(wanted.name)
    return list(found.values())
