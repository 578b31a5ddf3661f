PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := out/demo

# Processes that run tests at the same time: one more than cores, since some tests wait for a clock.
TEST_WORKERS ?= $(shell n=$$(nproc); echo $$((n < 4 ? n + 1 : 4)))
# What `make test` runs: of the tests that start processes, only these whole lines.
QUICK_TESTS := tests/unit tests/contract tests/architecture $(patsubst %,tests/process/test_%.py,line gate_line strip_coils)
# CPU builds of torch, a tenth of the size of the CUDA builds on PyPI.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: help demo demo-live page test test-all test-gpu test-system bindings check docs bench clean

help:
	@echo "make demo         simulate a coil, inspect it, write a report (installs what it needs into $(VENV))"
	@echo "make demo-live    run a simulated line with the operator's page, and print its address"
	@echo "make page         build the operator's page from its source (needs npm)"
	@echo "make test         every unit and contract test, and whole lines with a gate and coils: under ten minutes"
	@echo "make test-all     all tests but the system's: also restarts, buses, the page, trainings; as CI runs them"
	@echo "make test-gpu     what needs an NVIDIA GPU; prints its figures"
	@echo "make test-system  the service under a real systemd in a container (root, debootstrap, systemd-nspawn)"
	@echo "make check        lint, types, import directions"
	@echo "make docs         these pages as a site in out/site, every link checked"
	@echo "make bench        print the figures of docs/figures.md"
	@echo "make clean        remove $(VENV), out/ and what was built"

# What runs on the line: no torch.
$(VENV)/.runtime: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: make PYTHON=python3.11 …"; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "no venv: apt install python3-venv, then make again"; exit 2; }
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# What trains, tests and measures. A PC without an NVIDIA GPU gets torch's CPU build where its index can be reached;
# elsewhere, and on a PC with a GPU, pip takes the build that PyPI has.
$(VENV)/.dev: $(VENV)/.runtime
	@test -e /proc/driver/nvidia || \
	  $(BIN)/pip install -qqq --disable-pip-version-check --retries 1 --timeout 15 --no-deps \
	    --index-url $(TORCH_CPU_INDEX) "$$(grep -om1 'torch==[0-9.*]*' pyproject.toml)" || \
	  echo "no CPU build of torch from $(TORCH_CPU_INDEX): taking the default build"
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/.serve: $(VENV)/.runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[serve]'
	@touch $@

$(VENV)/.docs: $(VENV)/.runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

# The engine is built where it runs, from the model that comes with the project.
configs/demo/engine/manifest.json: configs/demo/model/card.json | $(VENV)/.runtime
	rm -rf configs/demo/engine
	$(BIN)/trainer build-engine configs/demo/model --backend openvino --out configs/demo/engine

demo: $(VENV)/.runtime configs/demo/engine/manifest.json
	rm -rf $(DEMO)
	$(BIN)/trainer simulate --out $(DEMO)/coil --frames 240 --seed 7 --defective-share 0.1
	$(BIN)/inspector replay $(DEMO)/coil/train_images --config configs/demo/line.toml --out $(DEMO)/run
	@$(BIN)/trainer compare $(DEMO)/run --data $(DEMO)/coil
	@echo "see it   open $(DEMO)/run/report.html in a browser; all pictures of rejects: $(DEMO)/run/rejects"
	@echo "live     $(BIN)/inspector run --config configs/demo/line.toml   (a simulated camera, until Ctrl-C)"

demo-live: $(VENV)/.serve configs/demo/engine/manifest.json
	@configs/demo/live.sh $(BIN)/inspector

page:
	inspector/serve/web/build.sh

# TensorRT's genuine bindings, without the library: what our calls are checked against. Skips where it cannot.
bindings: $(VENV)/.dev
	$(BIN)/python tests/bindings/fetch.py out/bindings

# A file's tests run in one process, which makes what they share once.
test: $(VENV)/.dev configs/demo/engine/manifest.json bindings
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile $(QUICK_TESTS)

test-all: $(VENV)/.dev configs/demo/engine/manifest.json bindings
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile -m 'not system'

# Needs no network once $(VENV) and out/bindings are there; on a PC without a GPU everything skips.
test-gpu: $(VENV)/.dev bindings
	$(BIN)/python -m pytest -m gpu -s

test-system: $(VENV)/.dev configs/demo/engine/manifest.json
	$(BIN)/python -m pytest -m system tests/system

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	inspector/serve/web/build.sh --check

# The variable switches off what Material prints about its makers' plans. Never with --quiet: warnings would not count.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open out/site/index.html in a browser"

bench: $(VENV)/.dev configs/demo/engine/manifest.json
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf $(VENV) out configs/demo/engine build ./*.egg-info
