"""Names of the devices that portable methods compute on; no library is imported."""

from qsmbench.errors import QsmbenchError

LIBRARIES = ("numpy", "cupy", "torch")


def split_device(device: str) -> tuple[str, str]:
    """Split a device into library and location: `torch:cuda` → torch, cuda; `numpy` → numpy and an empty text.

    Raises:
        QsmbenchError: the library is unknown, or a location is given for a library without locations.
    """
    library, _, place = device.partition(":")
    if library not in LIBRARIES or (place and library != "torch"):
        raise QsmbenchError(f"device is {device!r}; choose from numpy, cupy, torch, torch:cuda, torch:mps …")
    return library, place
