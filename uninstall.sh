#!/bin/sh
# Removes what install.sh installed, and what Parley keeps: uninstall.sh [--prefix FOLDER] [--yes] [--dry-run]
# --prefix is the folder that install.sh was given; --yes asks nothing; --dry-run only lists.
set -eu

prefix=${PREFIX:-}
yes=
dry=

usage() {
    sed -n '2,3s/^# //p' "$0"
}
fail() {
    echo "uninstall.sh: $1" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --prefix) [ $# -ge 2 ] || fail "--prefix needs a folder"; prefix=$2; shift 2 ;;
        --yes) yes=--yes; shift ;;
        --dry-run) dry=--dry-run; shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; fail "unknown argument: $1" ;;
    esac
done

[ -n "${HOME:-}" ] || fail "HOME is not set"
: "${prefix:=${XDG_DATA_HOME:-$HOME/.local/share}/parley}"
bin=${PARLEY_BIN_DIR:-$HOME/.local/bin}
venv=$prefix/venv

[ -f "$venv/pyvenv.cfg" ] || fail "there is no installation in $venv"
[ -x "$venv/bin/parley" ] || fail "$venv has no parley: install.sh did not make it, or did not finish; remove it yourself"

# An unquoted empty variable is no argument.
"$venv/bin/parley" uninstall $yes $dry
if [ -n "$dry" ]; then
    echo "The program itself: $venv, $bin/parley"
    exit 0
fi
if [ "$(readlink "$bin/parley" || true)" = "$venv/bin/parley" ]; then
    rm -f "$bin/parley"
fi
rm -rf "$venv"
rmdir "$prefix" 2>/dev/null || true
echo "Parley is uninstalled."
