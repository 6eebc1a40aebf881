"""ONNX Runtime's telemetry is off wherever we, or what we ship, load the runtime."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from vampnet_models.telemetry import VARIABLE

PACKAGES = (
    "vampnet_models",
    "calibration",
    "optimize",
    "profiles",
    "vampbench",
    "training",
    "bench",
    "docs",
)
"""Each turns it off in its `__init__`, ahead of all its modules."""

RUN_ALONE = (
    "profiles/bundle/bundled/selfcheck.py",
    "profiles/bundle/bundled/open_models.py",
    "docs/examples/load_with_onnxruntime.py",
    "docs/examples/load_with_workbench.py",
    "optimize/backends/fusion_script.py",
    "optimize/backends/inc_script.py",
    "bench/machines/arm64_child.py",
    "bench/latency/child.py",
)
"""Scripts that are run by their path, so that no `__init__` of ours goes before them."""

_HARMLESS = (
    "from __future__ ",
    "import importlib",
    "from pathlib ",
    "from typing ",
    "if TYPE_CHECKING:",
)
"""What may stand before it: none of it loads the runtime."""

TRACE = ".cache/Microsoft"
"""Where the runtime keeps its device identifier and unsent events, below HOME."""


def imports_of(path: Path) -> list[tuple[int, str]]:
    """Line and module of every import in a file, nested ones too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.lineno, node.module))
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_turns_it_off_first(package: str) -> None:
    init = REPOSITORY / package / "__init__.py"
    body = ast.parse(init.read_text(encoding="utf-8")).body[1:]
    before = [ast.unparse(statement) for statement in body]
    before = before[: before.index("turn_off()")]
    loading = [line for line in before if not line.startswith(_HARMLESS)]
    assert loading == ["from vampnet_models.telemetry import turn_off"]


@pytest.mark.parametrize("name", RUN_ALONE)
def test_a_script_that_runs_alone_turns_it_off_before_the_runtime(name: str) -> None:
    path = REPOSITORY / name
    lines = path.read_text(encoding="utf-8").splitlines()
    off = [i for i, line in enumerate(lines, 1) if f'os.environ["{VARIABLE}"] = "1"' in line]
    runtime = [line for line, module in imports_of(path) if module.split(".")[0] == "onnxruntime"]
    ours = [line for line, module in imports_of(path) if module.split(".")[0] in PACKAGES]
    # A nested import runs when its function is called, after the module's own lines.
    at_top = [line for line in runtime if not lines[line - 1].startswith(" ")]
    assert ours or (off and all(min(off) < line for line in at_top))


def test_no_other_script_loads_the_runtime() -> None:
    """What imports it lies in a package that turns it off, is a test, or is listed above."""
    alone = []
    for path in REPOSITORY.rglob("*.py"):
        name = path.relative_to(REPOSITORY).as_posix()
        if name.startswith((".", "tests/", "out/", "build/")) or name in RUN_ALONE:
            continue
        loads = any(module.split(".")[0] == "onnxruntime" for _, module in imports_of(path))
        if loads and name.split("/")[0] not in PACKAGES:
            alone.append(name)
    assert alone == []


def observed(command: list[str], home: Path, *, with_variable: str | None = None) -> list[Path]:
    """What the runtime left in an empty home where nothing else turns its telemetry off."""
    home.mkdir()
    quiet = (VARIABLE, "CI", "ORT_RUNNING_UNIT_TESTS", "XDG_CACHE_HOME")
    environment = {k: v for k, v in os.environ.items() if k not in quiet}
    environment |= {"HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
    if with_variable is not None:
        environment[VARIABLE] = with_variable
    done = subprocess.run(
        command, cwd=home, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(home.glob(f"{TRACE}/**/*"))


OPEN = "import sys; import onnxruntime; onnxruntime.InferenceSession(sys.argv[1])"
INSPECT = "from vampbench.cli.main import main; main()"


def test_the_runtime_leaves_no_trace(generic: Path, tmp_path: Path) -> None:
    """Seen where it shows: its device identifier; and seen not to show, where that can be done."""
    model = str(generic / "product.onnx")
    inspect = [sys.executable, "-c", INSPECT, "inspect", "--runtime", model]
    assert observed(inspect, tmp_path / "ours", with_variable="0") == []
    unshare = shutil.which("unshare")
    alone = [unshare or "unshare", "--user", "--net", sys.executable]
    if unshare is None or subprocess.run([*alone, "-c", ""], check=False).returncode:
        pytest.skip("no network namespace here: that the trace shows at all was not seen")
    assert observed([*alone, "-c", OPEN, model], tmp_path / "theirs") != []
