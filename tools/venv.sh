#!/usr/bin/env bash
# Bring a virtual environment up to the lock and install this checkout into it; a second call changes nothing.
# usage: tools/venv.sh FOLDER [PYTHON]
# What is installed is remembered in FOLDER/.hsr_tf as a copy of the files it was installed from, so that only
# their content counts, not their dates. A folder whose installation was cut short is made anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=${1:?usage: tools/venv.sh FOLDER [PYTHON]}
wanted=${2:-}
installed=$venv/.hsr_tf

fail() {
    echo "error: $*" >&2
    exit 2
}

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

supported() {
    [[ $1 == 3.11 || $1 == 3.12 || $1 == 3.13 ]]
}

require_supported() {
    local version
    version=$(version_of "$1")
    supported "$version" ||
        fail "$1: expected Python 3.11, 3.12 or 3.13, got ${version:-no working interpreter};" \
            "name another, as in 'make PYTHON=python3.12 test'"
}

lock_inputs() {
    cat requirements.lock
}

project_inputs() {
    cat setup.cfg pyproject.toml
    pwd
}

current() {
    [[ -f $installed/$1 ]] && cmp -s <("$1_inputs") "$installed/$1"
}

record() {
    "$1_inputs" >"$installed/$1.new"
    mv "$installed/$1.new" "$installed/$1"
}

pip_install() {
    "$venv/bin/python" -m pip install --disable-pip-version-check "$@"
}

# The lock's own block of one package, so that what is fetched first is held to its hash too.
locked() {
    awk -v name="$1==" 'index($0, name) == 1 { inside = 1; print; next } inside && /^    / { print; next } { inside = 0 }' \
        requirements.lock
}

# uv installs in a third of pip's time; where it cannot (a package index that only pip knows), pip does.
install_lock() {
    local options=(--require-hashes --only-binary :all:)
    locked uv >"$installed/uv"
    if [[ -s $installed/uv ]] && pip_install --quiet "${options[@]}" -r "$installed/uv" &&
        "$venv/bin/python" -m uv pip install --quiet --python "$venv/bin/python" "${options[@]}" -r requirements.lock; then
        return
    fi
    # Python compiles what is imported, when it is: compiling all of TensorFlow takes half a minute.
    pip_install --no-compile "${options[@]}" -r requirements.lock
}

create() {
    local base
    if [[ -d $venv && ! -f $venv/pyvenv.cfg && -n $(ls -A "$venv") ]]; then
        fail "$venv: expected a virtual environment or nothing, got a folder of something else; name another VENV"
    fi
    base=$("$1" -c 'import sys; print(sys._base_executable)')
    echo "making $venv with Python $(version_of "$1")"
    "$base" -m venv --clear "$venv" ||
        fail "$1: expected a Python that can make virtual environments; install its venv module (Debian: python3-venv)"
}

# Two commands at once take turns where the system can tell them to.
exec 9<setup.cfg
flock 9 2>/dev/null || true

present=$(version_of "$venv/bin/python")
if [[ -z $wanted ]] && supported "$present"; then
    wanted=$venv/bin/python
fi
wanted=${wanted:-python3}
require_supported "$wanted"

if [[ $present != "$(version_of "$wanted")" || -f $installed/incomplete ]]; then
    create "$wanted"
elif ! current lock && ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    create "$wanted"
fi

if ! current lock || ! current project; then
    mkdir -p "$installed"
    touch "$installed/incomplete"
    if ! current lock; then
        rm -f "$installed/lock" "$installed/project"
        echo "installing what requirements.lock names"
        install_lock
        record lock
    fi
    rm -f "$installed/project"
    pip_install --quiet --no-deps --no-build-isolation --editable .
    record project
    rm "$installed/incomplete"
fi
