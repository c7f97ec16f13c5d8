#!/usr/bin/env bash
# Resolves every member's dependencies into requirements.lock: all versions with hashes, no addresses.
set -euo pipefail
cd "$(dirname "$0")/.."
members=()
for project in libs/*/pyproject.toml services/*/pyproject.toml; do
  members+=(--no-emit-package "$(sed -n 's/^name = "\(.*\)"/\1/p' "$project")")
done
exec "${UV:-.venv/bin/uv}" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-header --no-annotate --all-extras --group dev "${members[@]}" "$@" \
  libs/*/pyproject.toml services/*/pyproject.toml --output-file requirements.lock
