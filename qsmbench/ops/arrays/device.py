"""Names of the devices that portable methods compute on; no library is imported."""

from qsmbench.errors import QsmbenchError

LIBRARIES = ("numpy", "cupy", "torch")


def split_device(device: str) -> tuple[str, str]:
    """Split a device into library and place: `torch:cuda` → torch, cuda; `numpy` → numpy and nothing.

    Raises:
        QsmbenchError: it names an unknown library, or a place of a library that has only one.
    """
    library, _, place = device.partition(":")
    if library not in LIBRARIES or (place and library != "torch"):
        raise QsmbenchError(f"device is {device!r}; choose from numpy, cupy, torch, torch:cuda, torch:mps …")
    return library, place
