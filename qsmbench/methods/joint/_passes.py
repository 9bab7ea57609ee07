"""Run a sequence of other methods within a method."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from qsmbench.errors import QsmbenchError


def run_chain(names: Sequence[str], inputs: Mapping[str, Any], caller: str, product: str = "chi") -> tuple[Any, Any]:
    """Run methods in sequence, with their defaults, and return a product of theirs and its mask.

    Args:
        names: of methods; the products of each are available to the next.
        inputs: artifacts and parameters by name, including the mask.
        caller: name of the calling method, for error messages.
        product: the artifact to return.

    Returns:
        chi: (nx, ny, nz) float32, ppm; or another product.
        mask: (nx, ny, nz) bool.

    Raises:
        QsmbenchError: a method needs an input that is missing, or none makes the product.
    """
    # loaded by its name: how methods are found changes no result, so that no method depends on that file
    find = importlib.import_module("qsmbench.run.registry").find
    values = dict(inputs)
    for name in names:
        method = find(name)
        missing = [n for n in method.consumes if n not in values]
        if missing:
            raise QsmbenchError(f"{caller}: {name} needs {missing[0]}; available: {', '.join(values)}")
        products = method(*(values[n] for n in method.consumes))
        products = products if isinstance(products, tuple) else (products,)
        values |= dict(zip(method.produces, products, strict=True))
    if product not in values:
        raise QsmbenchError(f"{caller}: {'.'.join(names)} does not produce {product}")
    return values[product], values["mask"]
