# Everything runs in .venv, made once from constraints.txt and kept until that or pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install demo test test-engines test-browser coverage lint types check docs wheel clean

help:
	@echo "make demo     install, then the whole loop on the embedded detector"
	@echo "make test     install, then the tests"
	@echo "make test-engines  the tests on local clusters of Ray and Dask"
	@echo "make test-browser  the tests of pages in headless Chromium"
	@echo "make coverage the tests, and by layer how much of the code and its branches they run"
	@echo "make check    lint, types and tests"
	@echo "make docs     the documents as a site, in site/index.html"
	@echo "make wheel    build the wheel and look into it"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "assay needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV) (about 7 GB, two to five minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: install
	@$(BIN)/assay demo

test: install
	@$(BIN)/python -m pytest -q -n 3 --dist loadgroup

# Ray and Dask are installed for their own tests only.
ENGINES_STAMP := $(VENV)/.engines-installed

$(ENGINES_STAMP): $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[ray,dask]"
	@touch $@

test-engines: $(ENGINES_STAMP)
	@$(BIN)/python -m pytest -q -m engines tests/flows/engines

# Playwright is installed for the tests of pages only; it drives the system's Chromium.
BROWSER_STAMP := $(VENV)/.browser-installed

$(BROWSER_STAMP): $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[browser]"
	@touch $@

test-browser: $(BROWSER_STAMP)
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
		{ test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
			apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
		{ echo "Chromium is missing; as root: apt-get install chromium"; exit 2; }
	@$(BIN)/python -m pytest -q -m browser

coverage: install
	@$(BIN)/python -m pytest -q -n 3 --dist loadgroup --cov --cov-report=
	@for layer in data synth tasks flows; do printf '%-6s' $$layer; \
		$(BIN)/python -m coverage report --include="$$layer/*" --format=total; done

lint: install
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

# mypy names modules after folders; the link gives the package its name wherever the clone lies.
types: install
	@mkdir -p .typecheck && ln -sfn "$(CURDIR)" .typecheck/assay
	@cd .typecheck && MYPYPATH=. ../$(BIN)/mypy --config-file ../pyproject.toml \
		-m assay -p assay.data -p assay.synth -p assay.tasks -p assay.flows

check: lint types test

# The site is built by packages of its own, which tests do not need.
DOCS_STAMP := $(VENV)/.docs-installed

$(DOCS_STAMP): $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	@touch $@

docs: $(DOCS_STAMP)
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --jobs auto \
		-d build/doctrees docs site
	@! grep -rlE '<(script|link|img)[^>]* (src|href)="(https?:)?//' --include=*.html site || \
		{ echo "these pages load from other hosts"; exit 1; }
	@echo "site/index.html"

wheel: install
	@rm -rf dist build
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null
	@ls -l dist/*.whl

clean:
	rm -rf .coverage* build dist site .typecheck .pytest_cache .mypy_cache .ruff_cache
