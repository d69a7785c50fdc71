#!/bin/sh
# Writes deploy/requirements-hashed.txt: the pins of requirements.txt with the hashes of every file of theirs on PyPI,
# for every Python and platform. Needs uv. torch and torchvision are left out, as images take them from an index of
# their choice, and so is what only torch's CUDA build needs. `make hashes` runs it after a change of the pins.
set -eu
cd "$(dirname "$0")/.."
left_out=$(printf 'torch==\ntorchvision==\n' | cat - deploy/constraints-cuda.txt |
    sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' | tr '\n' ' ')
# shellcheck disable=SC2086 # options, one word each
exec uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --custom-compile-command "make hashes" --extra serve --extra cvat --constraint requirements.txt \
    --constraint deploy/constraints-cuda.txt $left_out --output-file deploy/requirements-hashed.txt pyproject.toml
