#!/usr/bin/env bash
# Resolve pyproject.toml into constraints.txt (what runs) and constraints-dev.txt (that, and what tests it):
# versions and hashes for every platform, no addresses. Run through `make lock`; `make lock UPGRADE=1` takes newer versions.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/pip" --disable-pip-version-check install --quiet uv

compile() {
  "$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links ${UPGRADE:+--upgrade} "$@"
}
compile pyproject.toml --group pyproject.toml:build --output-file constraints.txt
compile pyproject.toml --group pyproject.toml:build --extra dev --constraint constraints.txt --output-file constraints-dev.txt
