"""Other methods, run one after the other within a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qsmbench.errors import QsmbenchError
from qsmbench.run import registry


def run_chain(names: Sequence[str], given: Mapping[str, Any], caller: str) -> tuple[Any, Any]:
    """χ [ppm] and the mask where it is known, by the methods called `names`, with their defaults.

    Args:
        names: of methods; what one produces, the next may take.
        given: artifacts and parameters by name, the mask among them.
        caller: the method that asks, for the message.

    Returns:
        chi: (nx, ny, nz) float32, ppm.
        mask: (nx, ny, nz) bool.

    Raises:
        QsmbenchError: a method takes what there is not, or none gives χ.
    """
    values = dict(given)
    for name in names:
        found = registry.find(name)
        missing = [n for n in found.consumes if n not in values]
        if missing:
            raise QsmbenchError(f"{caller}: {name} needs {missing[0]}; available are {', '.join(values)}")
        products = found(*(values[n] for n in found.consumes))
        products = products if isinstance(products, tuple) else (products,)
        values |= dict(zip(found.produces, products, strict=True))
    if "chi" not in values:
        raise QsmbenchError(f"{caller}: {'.'.join(names)} gives no chi")
    return values["chi"], values["mask"]
