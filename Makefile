# Needs make, and uv or a Python from 3.11 to 3.14. Every target sets up .venv by itself; PYTHON=… names the Python.
export PYTHON
BIN := .venv/bin

.PHONY: demo studio test test-browser lint format hashes clean

demo: .venv/installed
	$(BIN)/siaf demo --out demo-output

studio: .venv/installed
	mkdir -p demo-output
	$(BIN)/siaf studio siaf/demo_data/big-buck-bunny.mp4 --session demo-output/big-buck-bunny.siaf

test: .venv/installed lint
	$(BIN)/python -m pytest -n 2 --dist loadfile
	@echo "The tests in a browser were left out: make test-browser runs them with Chromium."

test-browser: .venv/installed
	$(BIN)/python -m pytest -m browser tests/cvat/test_button.py tests/studio

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hashes:
	deploy/hash-requirements.sh

.venv/installed: pyproject.toml requirements.txt
	.ci/venv.sh
	touch $@

clean:
	rm -rf .venv demo-output
