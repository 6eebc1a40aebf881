"""The commands that a user of CUDA calls: a bundle with its self-check, and a search."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from bench import ROOT
from bench.cuda.setting import Setting
from vampnet_models.cache import Json
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.errors import InputError, reason_in

_VAMPBENCH = (sys.executable, "-c", "from vampbench.cli.main import main; main()")
_SEARCHED = "codec_encoder"
"""A search of all four takes most of an hour."""


def check_bundle(setting: Setting) -> Json:
    """What the self-check of `vampbench bundle --target cuda` says on the device."""
    out = setting.work / "bundle"
    if out.exists():
        shutil.rmtree(out)
    made = _ran([*_VAMPBENCH, "bundle", "--target", "cuda", "-o", str(out)])
    if made.returncode:
        raise InputError(f"vampbench bundle --target cuda: {_why(made)}")
    provider = setting.place.provider
    checked = _ran([sys.executable, str(out / "selfcheck.py"), "--json", "--provider", provider])
    try:
        found: Json = json.loads(checked.stdout)
    except ValueError:
        raise InputError(f"selfcheck.py: {_why(checked)}") from None
    return found


def search(setting: Setting) -> Json:
    """What `vampbench tune --target` finds for the built-in encoder, timed on the device.

    Raises InputError where it fails; a search that was stopped by the limit says so.
    """
    folder = setting.work / "searched"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(builtin_models(setting.work) / f"{_SEARCHED}.onnx", folder)
    out, limit_s = setting.work / "tuned", setting.tune_limit_s
    words = ["tune", str(folder), "--target", setting.name, "--rounds", "5", "--json"]
    # Tokens, not costs: the decoder that costs are heard by is not among the models.
    words += ["--min-agreement", "0.97", "--max-latency", "1", "-o", str(out)]
    try:
        done = _ran([*_VAMPBENCH, *words], limit_s)
    except subprocess.TimeoutExpired:
        return {"stopped": f"after {limit_s:g} s, as asked; the same call goes on"}
    if done.returncode not in (0, 1):
        raise InputError(f"vampbench tune --target {setting.name}: {_why(done)}")
    found: Json = json.loads(done.stdout)["result"]
    return found


def _ran(command: list[str], limit_s: float | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=limit_s
    )


def _why(done: subprocess.CompletedProcess[str]) -> str:
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return reason_in(said[-1])
