#!/usr/bin/env bash
# Measure everything of CUDA, on a machine with Linux, Python 3.11 to 3.13 and NVIDIA's driver.
#
#   bench/cuda.sh [--list] [--only STEP ...] [--rounds N]
#
# It makes .venv-cuda with ONNX Runtime for CUDA, CUDA's own libraries and PyTorch, once, then runs
# `python -m bench.cuda`, which takes the options. PYTHON names another Python to make it with;
# CUDA_PYTHON one that has everything already: nothing is installed then.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "error: $1" >&2
    exit 2
}

make_environment() {
    local python=$1
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
        fail "$python is not Python 3.11 to 3.13; name another one: PYTHON=python3.12 bench/cuda.sh"
    "$python" -m venv .venv-cuda ||
        fail "$python cannot make .venv-cuda; install its venv module, or name another one by PYTHON"
    local pip=(.venv-cuda/bin/python -m pip install --progress-bar off --disable-pip-version-check)
    # The extras are CUDA's own libraries: a bare machine has the driver alone.
    "${pip[@]}" -r constraints-cuda.txt "onnxruntime-gpu[cuda,cudnn]"
    "${pip[@]}" --no-deps -e .
    # Without PyTorch its rows say so, and all else is measured.
    "${pip[@]}" -c constraints.txt "torch==2.13.0" ||
        echo "PyTorch could not be installed: its rows will say so" >&2
    touch .venv-cuda/.installed-all
}

python=${CUDA_PYTHON:-.venv-cuda/bin/python}
if [ -z "${CUDA_PYTHON:-}" ]; then
    command -v nvidia-smi >/dev/null || fail "nvidia-smi is not here: install NVIDIA's driver, or run this on a machine with a GPU"
    [ -e .venv-cuda/.installed-all ] || make_environment "${PYTHON:-python3}"
fi

# The libraries lie in the environment, where the loader does not look by itself.
libraries=$("$python" -c '
import sys
from pathlib import Path
found = {str(lib) for site in sys.path if site for lib in Path(site).glob("nvidia/*/lib")}
print(":".join(sorted(found)))')
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$python" -m bench.cuda "$@"
