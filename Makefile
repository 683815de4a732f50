PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

demo: .venv/.user     ## run the loop once, small, and enter the world (ARGS=--no-serve ends after the report)
	$(BIN)/worldloom quickstart $(ARGS)

test: .venv/.dev      ## the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: .venv/.dev     ## format, lint, types
	$(BIN)/ruff format --check . && $(BIN)/ruff check .
	$(BIN)/pyright

docs: .venv/.dev      ## the guide and the API reference, into site/
	$(BIN)/python -W error docs/build.py site

clean:                ## what can be made again; never runs/ or stores/
	rm -rf .venv site build dist .pytest_cache .ruff_cache .hypothesis src/*.egg-info

.venv/.user: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -e . && touch $@

.venv/.dev: .venv/.user
	$(PIP) -e '.[dev,atari,crafter,doom,minigrid]'
	$(PIP) --no-deps openpi-client  # it asks for numpy 1, and runs with 2
	touch $@

.PHONY: demo test check docs clean
