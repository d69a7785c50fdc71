#!/bin/sh
# Sets up .venv with everything that demo and tests need: by uv if this machine has it, else by pip.
# PYTHON=… names the Python; without it uv chooses or fetches one, and pip takes what .ci/python.sh finds.
set -eu

if command -v uv >/dev/null 2>&1; then
    [ -x .venv/bin/python ] || uv venv --quiet --python "${PYTHON:->=3.11,<3.15}" .venv
    exec uv pip install --quiet --python .venv/bin/python --constraint requirements.txt --editable '.[dev]'
fi
if [ ! -x .venv/bin/python ]; then
    python=$("$(dirname "$0")/python.sh")
    "$python" -m venv .venv
fi
exec .venv/bin/python -m pip install --disable-pip-version-check --quiet \
    --constraint requirements.txt --editable '.[dev]'
