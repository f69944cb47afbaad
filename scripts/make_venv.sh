#!/bin/sh
# Makes or mends a virtual environment with a pip that knows dependency groups: make_venv.sh PYTHON FOLDER
set -eu
python=$1
folder=$2

if ! command -v "$python" >/dev/null 2>&1; then
    echo "parley: $python is not installed; install Python 3.11 or newer (Debian: apt-get install python3 python3-pip)" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "parley: $python does not run or is older than 3.11. Choose another: make PYTHON=python3.12 ..." >&2
    exit 1
fi

if ! "$folder/bin/python" -c '' >/dev/null 2>&1; then
    echo "parley: making $folder" >&2
    rm -rf "$folder"
    if "$python" -c 'import ensurepip' >/dev/null 2>&1; then
        "$python" -m venv "$folder"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        # Debian keeps ensurepip in python3-venv; the system's pip can fill the environment instead.
        "$python" -m venv --without-pip "$folder"
        "$python" -m pip --python "$folder/bin/python" install --quiet pip
    else
        echo "parley: neither ensurepip nor pip is there to fill $folder (Debian: apt-get install python3-venv)" >&2
        exit 1
    fi
fi
# Earlier versions of this project were installed under the name of another one on the package index.
if "$folder/bin/python" -c 'import importlib.metadata as m; m.distribution("parley")' >/dev/null 2>&1; then
    "$folder/bin/python" -m pip uninstall --quiet --yes parley
fi
"$folder/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
