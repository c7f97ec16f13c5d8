#!/usr/bin/env bash
# Makes .venv from requirements.lock and installs the members into it, editable. Does nothing when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

command -v "$python" >/dev/null || {
  echo "Genonaut needs Python 3.11 or newer, and there is no '$python'. Say: make PYTHON=/path/to/python3.11 …" >&2
  exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Genonaut needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1)." >&2
  echo "Install one and say: make PYTHON=/path/to/python3.11 …" >&2
  exit 1
}
stamp=$(cat requirements.lock libs/*/pyproject.toml services/*/pyproject.toml deploy/setup.sh | sha256sum | cut -d' ' -f1)
[ "$(cat .venv/.genonaut-stamp 2>/dev/null || true)" = "$stamp" ] && exit 0

echo "Setting up .venv (once; needs the package index) …"
[ -x .venv/bin/python ] || "$python" -m venv .venv
if ! .venv/bin/uv --version >/dev/null 2>&1; then
  sed -n '/^uv==/,/[^\\]$/p' requirements.lock > .venv/uv.lock
  .venv/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r .venv/uv.lock
fi
# Nothing is left outside of this folder: no cache in the home folder either, unless one is asked for (UV_NO_CACHE=).
export UV_PYTHON=.venv/bin/python UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS-true} UV_NO_CACHE=${UV_NO_CACHE-true} VIRTUAL_ENV=.venv
.venv/bin/uv pip install --quiet --require-hashes -r requirements.lock
members=()
for project in libs/*/pyproject.toml services/*/pyproject.toml; do members+=(--editable "$(dirname "$project")"); done
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation "${members[@]}"
echo "$stamp" > .venv/.genonaut-stamp
