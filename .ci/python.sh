#!/bin/sh
# Prints a Python that siaf runs on: the newest of this machine, or with "oldest" the oldest.
# PYTHON=… names one instead. Whatever is missing is said in one line.
set -eu

die() {
    echo "siaf: $*" >&2
    exit 1
}

# A name on the PATH proves nothing: version managers put commands there that only say "not installed".
suits() { # command minor
    "$1" -c "import sys; sys.exit(sys.version_info[:2] != (3, $2))" 2>/dev/null
}

# Debian ships Python without these two.
has_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

missing_venv() {
    name=$("$1" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    die "$1 cannot make virtual environments; on Debian and Ubuntu: sudo apt install $name-venv"
}

if [ "${PYTHON:-}" ]; then
    "$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null ||
        die "PYTHON=$PYTHON is not a Python from 3.11 to 3.14 (or is not on the PATH)"
    has_venv "$PYTHON" || missing_venv "$PYTHON"
    echo "$PYTHON"
    exit
fi

case ${1:-newest} in
    newest) minors="14 13 12 11" ;;
    oldest) minors="11 12 13 14" ;;
    *) die "usage: .ci/python.sh [newest|oldest]" ;;
esac
without=''
for minor in $minors; do
    # pyenv keeps versions that are installed but not chosen off the PATH.
    for name in "python3.$minor" "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions/3.$minor."*/bin/python3 python3 python; do
        if suits "$name" "$minor"; then
            if has_venv "$name"; then
                echo "$name"
                exit
            fi
            without=${without:-$name}
        fi
    done
done
[ -z "$without" ] || missing_venv "$without"
found=$(python3 --version 2>/dev/null) || found="no python3"
die "needs Python 3.11 to 3.14 and this machine has $found; install one, or uv (https://docs.astral.sh/uv/)"
