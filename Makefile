# flowc: everything a newcomer needs, from a machine with Python 3.11+, git and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# The tests start flowc hundreds of times: without its bytecode each start compiles it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: train test test-native check golden references soak bench docs ray gpu gpu-stand-in clean

train: $(VENV)/installed  ## set up, train the example, say what to try next
	$(BIN)/flowc train models/fashion_mlp.flow

test: check  ## every check: style, types, tests
	$(BIN)/pytest -n 2

test-native: $(VENV)/tools  ## the tests once more, computed with machine code
	$(BIN)/pytest -n 2 --backend native

check: $(VENV)/tools
	$(BIN)/ruff check .
	$(BIN)/mypy

golden: $(VENV)/tools  ## rewrite the goldens; read the diff before committing it
	$(BIN)/pytest tests/test_golden.py --update-golden

docs: $(VENV)/installed  ## rewrite the generated reference pages
	$(BIN)/python docs/generate.py

references: $(VENV)/tools  ## write anew what PyTorch says about the cases of tests/numerics; needs torch
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[torch]'
	$(BIN)/python tests/numerics/write_references.py

soak: $(VENV)/tools  ## the long proofs
	$(BIN)/pytest -m soak --hypothesis-profile default
	$(BIN)/pytest tests/test_fuzz.py --fuzz 100000 -n 2

ray: $(VENV)/tools  ## training on a Ray cluster; installs Ray, which is large
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[ray]'
	$(BIN)/pytest -m ray -s

gpu-stand-in: $(VENV)/tools  ## the CUDA backend on a stand-in for a GPU; needs g++ and nvcc, builds PyCUDA once
	$(BIN)/python tests/cuda/gpu_stand_in/build.py
	$(BIN)/pytest -m "cuda and not soak"

gpu: $(VENV)/tools  ## the same on the GPU of this machine, with the PyCUDA that is installed
	FLOWC_TEST_GPU=1 $(BIN)/pytest -m "cuda and not soak"

bench: $(VENV)/tools  ## timings beside NumPy by hand, and each peer whose interpreter is named
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/peers.py $(if $(TORCH_PYTHON),--torch $(TORCH_PYTHON)) \
		$(if $(JAX_PYTHON),--jax $(JAX_PYTHON)) \
		$(if $(TENSORFLOW_PYTHON),--tensorflow $(TENSORFLOW_PYTHON))

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/tools: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
