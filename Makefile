# Every target makes .venv by itself; a second call does no set-up again.
.DEFAULT_GOAL := help
.PHONY: help run lab test test-latest test-backends lint sync study record site test-site test-colab clean

# TensorFlow has wheels for Python 3.11 to 3.13: take the first of these that is here.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& { command -v $$python; break; }; done)

BIN := .venv/bin
# It would take every assertion away.
unexport PYTHONOPTIMIZE
READY := .venv/.ready
NOTEBOOKS := $(wildcard notebooks/*.ipynb notebooks/further/*.ipynb)
# What is installed: again where this folder, the Python or a list of packages has changed.
FOUND := $(shell cat .venv/.ready 2>/dev/null)
HERE := $(CURDIR) $(shell .venv/bin/python -c 'import sys; print(sys.version.split()[0])' 2>/dev/null)
ifneq ($(FOUND),$(HERE))
.PHONY: $(READY)
endif

help:
	@echo "make run            set up, then execute every notebook and print what passed"
	@echo "make test           set up, then lint, types, unit tests and the notebooks' stored outputs"
	@echo "make lab            set up, then open the notebooks in JupyterLab"
	@echo "make lint           ruff, mypy, and which room imports which"
	@echo "make sync           bring notebooks/*.ipynb and notebooks/src/*.py into step"
	@echo "make test-latest    unit tests on the newest releases of every library"
	@echo "make test-backends  unit tests and notebooks on JAX, and on PyTorch if it is in .venv"
	@echo "make study          the studies behind the README's tables (they go on where they stopped)"
	@echo "make record         execute every notebook and store its outputs in notebooks/"
	@echo "make site           build the course as pages in docs/_build/html"
	@echo "make test-site      build them, then open every page in Chromium or Chrome"
	@echo "make test-colab     run the notebooks as on Colab, from a clone (ONLY=03: one of them)"

$(READY): requirements.txt constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python from 3.11 to 3.13 found: install one, or call make PYTHON=/path/to/python3.13" >&2; exit 1; }
	@test -n "$(FOUND)" -a "$(FOUND)" = "$(HERE)" || $(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	@echo "$(CURDIR) $$($(BIN)/python -c 'import sys; print(sys.version.split()[0])')" > $@

# Two notebooks side by side, each with half of the cores, do nearly twice the work of one.
run: $(READY)
	$(BIN)/python -m evalib run --jobs 2

lab: $(READY)
	$(BIN)/jupyter lab notebooks

# A notebook's cells stay together; as many notebooks run at once as there are cores.
test: lint
	$(BIN)/python -m pytest -n auto --doctest-modules --cov --cov-report=term:skip-covered
	$(BIN)/python -m pytest -n auto --dist loadscope --nbval --nbval-cell-timeout=1800 -p no:cacheprovider $(NOTEBOOKS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check evalib scripts tests
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

sync: $(READY)
	$(BIN)/jupytext --sync $(NOTEBOOKS)
	$(BIN)/python -m evalib claims

test-latest: .venv-latest/.ready
	.venv-latest/bin/python -m pytest -n auto tests

.venv-latest/.ready: requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python from 3.11 to 3.13 found: install one, or call make PYTHON=/path/to/python3.13" >&2; exit 1; }
	$(PYTHON) -m venv .venv-latest
	.venv-latest/bin/pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager -e ".[test]"
	@touch $@

.venv/.jax-ready: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[jax]"
	@touch $@

# Keras takes its backend from KERAS_BACKEND, and so do the kernels that run the notebooks. PyTorch
# is large, so it is not installed here: `.venv/bin/pip install torch` adds it.
test-backends: .venv/.jax-ready
	for backend in jax $$($(BIN)/python -c 'import torch; print("torch")' 2>/dev/null); do \
	KERAS_BACKEND=$$backend $(BIN)/python -m pytest -n auto tests && \
	KERAS_BACKEND=$$backend $(BIN)/python -m evalib run --out outputs/executed/$$backend || exit 1; \
	done
	$(BIN)/python -m pytest tests/backends -m backends -rP

study: $(READY)
	$(BIN)/python scripts/seed_study.py
	$(BIN)/python scripts/record_study.py

record: $(READY)
	$(BIN)/python -m evalib run --store-outputs
	$(BIN)/python -m evalib claims

.venv/.site-ready: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[site]"
	@touch $@

site: .venv/.site-ready
	rm -rf docs/_build
	$(BIN)/python -m sphinx -W --keep-going -q -d docs/_build/doctrees docs docs/_build/html
	@echo "open docs/_build/html/index.html"

test-site: site
	$(BIN)/python -m pytest tests/site -m browser

test-colab: $(READY)
	$(BIN)/python -m pytest tests/colab -m colab -v -rP $(if $(ONLY),-k $(ONLY))

clean:
	rm -rf .venv .venv-latest .venv-colab outputs/executed docs/_build docs/api docs/notebooks
