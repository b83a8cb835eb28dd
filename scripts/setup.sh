#!/usr/bin/env bash
# Makes the environment for one purpose, once: setup.sh demo|test|check
#
#   VENV                    where it is (.venv)
#   PYTHON                  what makes it (python3)
#   STILLHOUSE_TORCH_INDEX  where pip takes torch from, and nothing else
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

purpose=${1:?"usage: scripts/setup.sh demo|test|check"}
venv=${VENV:-.venv}
python=${PYTHON:-python3}

case $purpose in
demo) extras=train; also=() ;;
test) extras=train,test; also=(demo) ;;
check) extras=train,test,lint; also=(demo test) ;;
*)
  echo "setup: found '$purpose', expected demo, test or check" >&2
  exit 2
  ;;
esac

if [[ ! -x $venv/bin/python ]]; then
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup: found $("$python" --version 2>&1), expected Python 3.11 or newer; name one with PYTHON=…" >&2
    exit 1
  fi
  echo "setup: making the environment $venv"
  "$python" -m venv "$venv"
fi

stamp=$("$venv/bin/python" - pyproject.toml client/pyproject.toml constraints.txt <<'PY'
import hashlib, pathlib, sys

print(hashlib.sha256(b"\0".join(pathlib.Path(p).read_bytes() for p in sys.argv[1:])).hexdigest())
PY
)
[[ $(cat "$venv/.stillhouse-$purpose" 2>/dev/null) == "$stamp" ]] && exit 0

pip=("$venv/bin/python" -m pip install -qq --disable-pip-version-check -c constraints.txt)

echo "setup: installing what '$purpose' needs; the first time takes a minute or more, since PyTorch is large"
if ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
  if [[ -n ${STILLHOUSE_TORCH_INDEX:-} ]]; then
    "${pip[@]}" --no-deps --index-url "$STILLHOUSE_TORCH_INDEX" torch
  elif [[ $(uname -s) == Linux && ! -e /proc/driver/nvidia && -z ${PIP_FIND_LINKS:-} ]]; then
    echo "setup: no NVIDIA driver here, and pip's own index has torch with CUDA (several GB)." >&2
    echo "setup: the small build: STILLHOUSE_TORCH_INDEX=<the CPU index that pytorch.org/get-started names> make $purpose" >&2
  fi
fi
"${pip[@]}" -e ./client -e ".[$extras]"

for done in "$purpose" ${also[@]+"${also[@]}"}; do
  echo "$stamp" >"$venv/.stillhouse-$done"
done
echo "setup: done"
