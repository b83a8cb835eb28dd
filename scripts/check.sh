#!/usr/bin/env bash
# Everything that can be said about the code without running it. All checks run; any failure counts.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

bin=${VENV:-.venv}/bin
# Absolute, since pyright and import-linter are run by name.
PATH=$(cd "$bin" && pwd):$PATH
failed=()

check() {
  echo "check: $*"
  "$@" || failed+=("$1")
}

check ruff check --quiet .
check ruff format --check --quiet .
check python scripts/unasync.py --check
check pyright
check lint-imports --no-logo
check check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
check check-jsonschema --quiet --builtin-schema vendor.github-actions examples/pipelines/github/action.yml
check python scripts/site.py
check check-jsonschema --quiet --check-metaschema deploy/helm/stillhouse/values.schema.json
check check-jsonschema --quiet --schemafile deploy/helm/stillhouse/values.schema.json deploy/helm/stillhouse/values.yaml
check hadolint docker/api.Dockerfile docker/worker.Dockerfile
if command -v shellcheck >/dev/null; then
  check shellcheck scripts/*.sh .ci/run
else
  echo "check: shellcheck is not installed, left out"
fi

if ((${#failed[@]})); then
  echo "check: FAILED: ${failed[*]}" >&2
  exit 1
fi
echo "check: all clean"
