"""Names of the devices that portable methods compute on. Importing it costs nothing."""

from qsmbench.errors import QsmbenchError

LIBRARIES = ("numpy", "cupy", "torch")


def split_device(device: str) -> tuple[str, str]:
    """Library and place of a device: `torch:cuda` → torch, cuda; `numpy` → numpy and nothing.

    Raises:
        QsmbenchError: it names no library of ours, or a place where there is only one.
    """
    library, _, place = device.partition(":")
    if library not in LIBRARIES or (place and library != "torch"):
        raise QsmbenchError(f"device is {device!r}; legal are numpy, cupy, torch, torch:cuda, torch:mps …")
    return library, place
