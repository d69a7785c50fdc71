# Needs Python 3.11 and make, nothing else. Every target sets up .venv by itself.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo test test-browser lint format clean

demo: .venv/installed
	$(BIN)/siaf demo --out demo-output

test: .venv/installed lint
	$(BIN)/python -m pytest

test-browser: .venv/installed
	$(BIN)/python -m pytest -m browser tests/cvat/test_button.py

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: pyproject.toml requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint requirements.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv demo-output
