"""Phase as scanners store it → radians."""

from __future__ import annotations

import numpy as np

from qsmbench.errors import QsmbenchError

TOLERANCE = 1.01  # rounding of stored values


def to_radians(phase: np.ndarray, where: str) -> tuple[np.ndarray, str | None]:
    """Convert phase to −π…π, from radians or from the integer units of the common scanners.

    Recognised, by their range (the volume must use more than half of it): radians (−π…π or 0…2π), Siemens
    (0…4095, or −4096…4095 as some converters write it), and milliradians as GE stores them (−3142…3142).

    Args:
        phase: any shape, finite.
        where: begins the error's message; the file.

    Returns:
        float32 phase in rad, and a note of what was rescaled (None for radians).

    Raises:
        QsmbenchError: the range is none of these.
    """
    low, high = float(phase.min()), float(phase.max())
    peak = max(-low, high)
    if peak <= np.pi * TOLERANCE:
        return phase.astype(np.float32, copy=False), None
    if low >= 0 and high <= 2 * np.pi * TOLERANCE:
        return np.angle(np.exp(1j * phase)).astype(np.float32), f"{where}: phase 0…2π wrapped to −π…π"
    scale, offset, name = 0.0, 0.0, ""
    if low >= 0 and 2048 < high <= 4096:
        scale, offset, name = np.pi / 2048, -np.pi, "scanner units 0…4095"
    elif low < 0 and 1571 < peak <= 3142:
        scale, name = 1e-3, "milliradians"
    elif low < 0 and 3142 < peak <= 4096:
        scale, name = np.pi / 4096, "scanner units −4096…4095"
    if not name:
        raise QsmbenchError(
            f"{where}: phase spans {low:.5g} … {high:.5g}; it must be in radians (−π…π or 0…2π), "
            "scanner units (0…4095 or −4096…4095) and milliradians"
        )
    rescaled = phase.astype(np.float32) * np.float32(scale) + np.float32(offset)
    return rescaled, f"{where}: {name} rescaled to radians"
