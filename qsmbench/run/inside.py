"""The process in which a method of others runs isolated: `python -m qsmbench.run.inside IN OUT`; see `run.isolated`."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.method import collected
from qsmbench.run import registry
from qsmbench.run.call import failure

CALL = "call.pickle"
"""What is to be run: the method's name, its settings and its arguments."""

ANSWER = "answer.json"
"""How it went: status, reason and notes; beside it, each product as a `.npy`."""


def run(given: Path, out: Path) -> dict[str, Any]:
    """Run the method, write its products to the folder `out`, and return the answer."""
    call = pickle.loads((given / CALL).read_bytes())  # of ours
    try:
        method = registry.find(call["name"])
        with collected() as notes:
            result = method(**call["arguments"], **call["settings"])
        products = result if isinstance(result, tuple) else (result,)
        if result is None or len(products) != len(method.produces):
            raise ValueError(_not_as_declared(result, method.produces))
        for name, product in zip(method.produces, products, strict=True):
            np.save(out / f"{name}.npy", _plain(product), allow_pickle=False)
    except Exception as e:  # a method may raise anything; the answer says what
        status, reason = failure(e)
        return {"status": status, "reason": reason}
    return {"status": "ok", "reason": "", "notes": notes}


def _not_as_declared(result: Any, produces: tuple[str, ...]) -> str:
    if result is None:
        return f"returned nothing instead of {' and '.join(produces)}"
    count = len(result) if isinstance(result, tuple) else 1
    return f"returned {count} arrays instead of {len(produces)}: {produces}"


def _plain(product: Any) -> np.ndarray:
    array = np.asarray(product)
    return array if array.dtype.kind != "O" else array.astype(str)  # which is refused as it is without isolation


def _as_json(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


if __name__ == "__main__":
    answer = json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2])), default=_as_json)
    (Path(sys.argv[2]) / ANSWER).write_text(answer)
    sys.stdout.flush()
    os._exit(0)  # what it left running does not keep us
