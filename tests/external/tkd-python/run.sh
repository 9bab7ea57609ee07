#!/usr/bin/env bash
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
python3 "$here/tkd.py" "${1:-/input}" "${2:-/output}" "${QSMCI_SET_THRESHOLD:-0.2}" $QSMCI_VOXEL_SIZE $QSMCI_B0_DIR
