# Everything sets itself up: only Python (3.11 to 3.13) and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := -m pip install --progress-bar off --disable-pip-version-check
OUT ?= out/demo
FULL ?= out/full

.PHONY: install demo report-full test test-long test-inc test-arm64 ops-wheel docs docs-check fuzz check bench results format env-cuda env-inc env-bench env-tools env-quark env-modelopt env-aimet env-torch clean

demo: $(VENV)/.installed  ## the main job on the built-in models and audio
	$(BIN)/vampbench demo -o "$(OUT)"

report-full: $(VENV)/.installed  ## the demo with operators, roofline and the damage of every block
	$(BIN)/vampbench demo -o "$(FULL)" --operators
	$(BIN)/vampbench tune "$(FULL)/builtin" --min-agreement 0.97 -o "$(FULL)/tuned"
	$(BIN)/vampbench report "$(FULL)" --tuned "$(FULL)/tuned"

install: $(VENV)/.installed  ## the command .venv/bin/vampbench

test: $(VENV)/.installed-dev  ## the tests that take minutes together
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not long and not shown"

test-long: $(VENV)/.installed-dev  ## the tests that take minutes each, and every shown command
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "long or shown"

test-inc: $(VENV)/.installed-dev .venv-inc/.installed  ## the tests of the Neural Compressor backend
	VAMPBENCH_INC_PYTHON=.venv-inc/bin/python $(BIN)/python -m pytest -q tests/optimize/backends/test_inc.py

check: $(VENV)/.installed-dev  ## lint, types, layering
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ops-wheel: $(VENV)/.installed  ## the operator library as wheels for Linux, in out/wheels
	$(BIN)/python $(PIP) -c constraints.txt -e ".[ops]"
	$(BIN)/python -m profiles.bundle.wheel out/wheels

docs: $(VENV)/.installed-docs  ## these documents as a site, in out/docs; links are checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

docs-check: $(VENV)/.installed-dev  ## every command that the documents and the commands' help show; part of test-long
	$(BIN)/python -m pytest -q -m shown tests/docs

bench: $(VENV)/.installed-dev  ## speed and size of the recipes, interleaved
	$(BIN)/python -m bench.recipes

results: $(VENV)/.installed-dev .venv-bench/.installed .venv-inc/.installed .venv-tools/.installed .venv-quark/.installed .venv-modelopt/.installed .venv-aimet/.installed  ## every table that depends on the models, made again in hours; goes on where it stopped
	$(BIN)/python -m bench.everything

test-arm64: $(VENV)/.installed-dev  ## tokens of every recipe on emulated ARM64, against x86
	$(BIN)/python -m bench.machines.arm64

fuzz: $(VENV)/.installed-dev  ## 10,000 mutants each of checkpoints, ONNX headers and audio; goes on where it stopped
	$(BIN)/python -m tests.fuzz --count 10000 --out out/fuzz --result bench/results/fuzz.json

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python $(PIP) -c constraints.txt -e ".[dev]"
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python $(PIP) -c constraints.txt -e ".[docs]"
	touch $@

env-cuda: .venv-cuda/.installed  ## onnxruntime-gpu in place of onnxruntime

.venv-cuda/.installed: pyproject.toml constraints.txt constraints-cuda.txt
	$(PYTHON) -m venv .venv-cuda
	.venv-cuda/bin/python $(PIP) -r constraints-cuda.txt
	.venv-cuda/bin/python $(PIP) --no-deps -e .
	touch $@

env-inc: .venv-inc/.installed  ## neural-compressor 3.7.1 with the older stack that it needs

.venv-inc/.installed: constraints-inc.txt
	$(PYTHON) -m venv .venv-inc
	.venv-inc/bin/python $(PIP) -r constraints-inc.txt
	touch $@

env-bench: .venv-bench/.installed  ## OpenVINO and NNCF, for bench/latency/run.py

.venv-bench/.installed: constraints-bench.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python $(PIP) -r constraints-bench.txt
	touch $@

env-tools: .venv-tools/.installed  ## the retired onnxruntime-tools, for bench/fusion.py

.venv-tools/.installed: constraints-tools.txt
	$(PYTHON) -m venv .venv-tools
	.venv-tools/bin/python $(PIP) -r constraints-tools.txt
	touch $@

env-quark: .venv-quark/.installed  ## AMD Quark, for bench/accuracy/run.py; its import compiles its operators, once

.venv-quark/.installed: constraints-quark.txt
	$(PYTHON) -m venv .venv-quark
	.venv-quark/bin/python $(PIP) -r constraints-quark.txt
	.venv-quark/bin/python -c "import quark.onnx"
	touch $@

env-modelopt: .venv-modelopt/.installed  ## NVIDIA ModelOpt, for bench/accuracy/run.py

.venv-modelopt/.installed: constraints-modelopt.txt
	$(PYTHON) -m venv .venv-modelopt
	.venv-modelopt/bin/python $(PIP) -r constraints-modelopt.txt
	touch $@

env-aimet: .venv-aimet/.installed  ## AIMET, for bench/accuracy/run.py

.venv-aimet/.installed: constraints-aimet.txt
	$(PYTHON) -m venv .venv-aimet
	.venv-aimet/bin/python $(PIP) -r constraints-aimet.txt
	touch $@

env-torch: .venv-torch/.installed  ## PyTorch beside the project, for bench.music and bench/latency/run.py

.venv-torch/.installed: pyproject.toml constraints.txt constraints-torch.txt
	$(PYTHON) -m venv .venv-torch
	.venv-torch/bin/python $(PIP) -r constraints-torch.txt -e .
	touch $@

clean:
	rm -rf $(VENV) .venv-cuda .venv-inc .venv-bench .venv-tools .venv-quark .venv-modelopt .venv-aimet .venv-torch out build *.egg-info
