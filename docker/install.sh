#!/usr/bin/env bash
# Install assay without extras, at the pinned versions, into a new virtual environment:
#
#     docker/install.sh PREFIX [PACKAGE]
#
# PACKAGE is a wheel or a checkout; without it, the checkout that this script lies in.
# PYTHON makes the environment (default: python3). TORCH_INDEX is a package index asked beside the
# default one, such as https://download.pytorch.org/whl/cpu; empty or unset for none.
set -euo pipefail

prefix=${1:?"usage: docker/install.sh PREFIX [PACKAGE]"}
checkout=$(cd "$(dirname "$0")/.." && pwd)
package=${2:-$checkout}

if [[ -n $(ls -A "$prefix" 2>/dev/null) ]]; then
  echo "$prefix is not empty; name a new folder" >&2
  exit 2
fi
"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "assay needs Python 3.11 or newer; set PYTHON, such as PYTHON=python3.12" >&2
  exit 2
}

"${PYTHON:-python3}" -m venv "$prefix"
install=("$prefix/bin/python" -m pip install --quiet --disable-pip-version-check
  --constraint "$checkout/constraints.txt")
# The build of a checkout takes the pinned setuptools, not the newest of an isolated environment.
"${install[@]}" setuptools
"${install[@]}" --no-build-isolation ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} "$package"
"$prefix/bin/assay" --version
