"""Import a third-party method and describe it, in the separate process that `run.described` starts."""

from __future__ import annotations

from typing import Any

from qsmbench import probe
from qsmbench.run import registry


def _describe(name: str) -> dict[str, Any]:
    m = registry.find(name)
    return {
        "name": m.name,
        "produces": m.produces,
        "consumes": m.consumes,
        "settings": {n: _plain(v) for n, v in m.settings.items()},
        "optional": m.optional,
        "reference": m.reference,
        "portable": m.portable,
        "stochastic": m.stochastic,
        "summary": m.summary,
        "texts": m.parameter_texts,
        "watched": m.watched,
        "files": [str(f) for f in m.files],
        "source": str(m.source),
    }


def _plain(value: Any) -> Any:
    """Return a default value for JSON: NumPy numbers as Python numbers, other types as text."""
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.item() if hasattr(value, "item") else str(value)


if __name__ == "__main__":
    probe.answer(_describe)
