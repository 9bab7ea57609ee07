#!/usr/bin/env bash
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
octave-cli --quiet --no-init-file --path "$here" "$here/tkd.m" "${1:-/input}" "${2:-/output}"
