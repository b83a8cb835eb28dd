#!/usr/bin/env bash
# Prints the path of a Chromium for the browser tests; installs Debian's where there is none and root may.
set -euo pipefail

found() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

if ! found >/dev/null && [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
  echo "browser: installing Chromium from the system's packages" >&2
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >/dev/null ||
    echo "browser: that failed; tests in a browser will be left out" >&2
fi
found || true
