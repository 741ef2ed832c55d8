# Every target sets up what it needs: a virtual environment in .venv, the locked packages, this checkout.
#   make test                     VENV=.venv312 PYTHON=python3.12 to choose where and with what
# Nothing is installed again while requirements.lock, setup.cfg and pyproject.toml keep their content.

VENV ?= .venv
# Empty: the Python that VENV already has, else python3.
PYTHON ?=
WORKERS ?= 2
UV ?= $(VENV)/bin/uv

RUN = $(VENV)/bin/python
PACKAGES = $(foreach name,hsr_tf trainers export serving benchmarks,$(if $(wildcard $(name)/*.py),$(name)))

LIBRARY = $(filter-out hsr_tf.__init__,$(subst /,.,$(basename $(wildcard hsr_tf/*.py)) \
	$(patsubst %/__init__.py,%,$(wildcard hsr_tf/*/__init__.py))))

TF_CPP_MIN_LOG_LEVEL ?= 3
export TF_CPP_MIN_LOG_LEVEL

.DEFAULT_GOAL := help
.PHONY: help setup test test-all coverage demo lint format bench bench-solvers docs build lock clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

setup:  ## make .venv as the lock says, if it is not so already
	@tools/venv.sh "$(VENV)" $(PYTHON)

test: lint  ## lint, then every test that is not slow (TESTS=tests/test_x.py for some)
	$(RUN) -m pytest -m "not slow" -n $(WORKERS) --dist loadfile $(TESTS)

test-all: lint  ## lint, then every test
	$(RUN) -m pytest -n $(WORKERS) --dist loadfile $(TESTS)

# Branches and lines of this process and of the workers; code that a test runs in another process is not counted.
coverage: setup  ## coverage of the tests that are not slow, into htmlcov/ (TESTS=... for some)
	$(RUN) -m pytest -m "not slow" -n $(WORKERS) --dist loadfile --cov --cov-report=term --cov-report=html $(TESTS)
	@echo "open htmlcov/index.html"

demo: setup  ## train on a small real scene, compare the methods, draw a picture sheet
	$(RUN) -m trainers.demo $(ARGS)

lint: setup  ## ruff's checks and format, mypy
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy $(PACKAGES)

format: setup  ## let ruff repair and format what it can
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: setup  ## speed of the models and of the simulation
	$(RUN) -m benchmarks.fusion $(ARGS)

bench-solvers: setup  ## quality and time of the solvers (ARGS=--memory: their memory)
	$(RUN) -m benchmarks.solvers $(ARGS)

docs: setup  ## pages of the library's functions and classes, into docs_html/
	$(RUN) -m pdoc --docformat google --output-directory docs_html hsr_tf $(LIBRARY)
	@echo "open docs_html/index.html"

# The *.egg-info that setuptools leaves would be taken for an installed version wherever Python starts in this folder.
build: setup  ## wheels and source distributions of hsr_tf and hsr_tf_light, into dist/, without network
	rm -rf build dist *.egg-info
	$(UV) build --offline --no-build-isolation --python $(RUN) --out-dir dist --quiet
	$(RUN) tools/light.py dist
	rm -rf build *.egg-info
	@ls dist

lock: setup  ## write requirements.lock anew from setup.cfg (UPGRADE=--upgrade takes newer versions)
	$(UV) pip compile setup.cfg --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" --output-file requirements.lock --quiet $(UPGRADE)

clean:  ## remove caches and build folders; .venv and runs/ stay
	rm -rf build dist docs_html htmlcov .coverage *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis demo_output
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
