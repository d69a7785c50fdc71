#!/bin/sh
# Builds the wheel, installs it with a given Python outside of this clone, and runs the demo from there.
set -eu
python=$1
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM
"$python" -m venv "$work/venv"
pip="$work/venv/bin/python -m pip --disable-pip-version-check"
$pip wheel --quiet --no-deps --wheel-dir "$work" "$root"
# Only what the demo imports is compiled, and that when it is.
$pip install --quiet --no-compile --constraint "$root/requirements.txt" "$work"/*.whl
cd "$work"
venv/bin/siaf --version
venv/bin/siaf demo --out demo-output
test -s demo-output/report.html
