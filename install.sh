#!/bin/sh
# Installs this checkout for the user who runs it: install.sh [--prefix FOLDER] [--python PYTHON]
# The environment is FOLDER/venv [default: ~/.local/share/parley]; `parley` is linked into ~/.local/bin (or $PARLEY_BIN_DIR).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
prefix=${PREFIX:-}
python=${PYTHON:-}

usage() {
    sed -n '2,3s/^# //p' "$0"
}
fail() {
    echo "install.sh: $1" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --prefix) [ $# -ge 2 ] || fail "--prefix needs a folder"; prefix=$2; shift 2 ;;
        --python) [ $# -ge 2 ] || fail "--python needs a program"; python=$2; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; fail "unknown argument: $1" ;;
    esac
done

[ -n "${HOME:-}" ] || fail "HOME is not set"
: "${prefix:=${XDG_DATA_HOME:-$HOME/.local/share}/parley}"
bin=${PARLEY_BIN_DIR:-$HOME/.local/bin}
venv=$prefix/venv

if [ -z "$python" ]; then
    for candidate in python3.13 python3.12 python3.11 python3; do
        if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    [ -n "$python" ] || fail "Python 3.11 or newer is not installed (Debian: apt-get install python3 python3-venv)"
fi
if [ -e "$bin/parley" ] || [ -L "$bin/parley" ]; then
    [ "$(readlink "$bin/parley" || true)" = "$venv/bin/parley" ] || fail "$bin/parley is there and belongs to another installation"
fi
if [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ]; then
    fail "$venv is there and is no Python environment"
fi

mkdir -p "$prefix" "$bin"
"$here/scripts/make_venv.sh" "$python" "$venv"
echo "install.sh: installing Parley and its libraries (about 700 MB)" >&2
"$venv/bin/python" -m pip install --quiet "$here[talk]"
ln -sf "$venv/bin/parley" "$bin/parley"

echo "Parley is installed: $bin/parley"
case :$PATH: in
    *:"$bin":*) ;;
    *) echo "Add $bin to your PATH: export PATH=\"$bin:\$PATH\"" ;;
esac
if [ "$(uname)" = Linux ]; then
    echo "Microphone and loudspeaker need PortAudio, and its way to the sound server (Debian: apt-get install libportaudio2 libasound2-plugins)."
fi
echo "Next: parley doctor, then parley serve. For calls: parley cables create."
