#!/bin/sh
# Prints the newest usable Python of this machine: 3.11 or later, and able to make environments.
# A name on the PATH is tried and not believed: version managers put stand-ins there that only fail.
for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
    if path=$(command -v "$name") &&
        "$path" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        echo "$path"
        exit 0
    fi
done
echo "cachegrid needs Python 3.11 or newer with the venv module; none was found on the PATH." >&2
echo "On Debian and Ubuntu: apt install python3-venv. Elsewhere: python.org, Homebrew or pyenv." >&2
echo "Or name one: make PYTHON=/path/to/python3.12 ..." >&2
exit 1
