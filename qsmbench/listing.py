"""What there is to choose from: a name and a line about it each."""

from __future__ import annotations

from collections.abc import Callable

from qsmbench.errors import QsmbenchError


def _methods() -> list[tuple[str, str]]:
    from qsmbench.run import registry

    rows = []
    for name in registry.names():
        try:
            m = registry.describe(name)
        except QsmbenchError as e:  # another package's; ours are there
            rows.append((name, f"cannot be used: {e}"))
            continue
        if m.broken:
            rows.append((name, f"cannot be used: {m.broken}"))
            continue
        settings = ", ".join(f"{k}={v}" for k, v in m.settings.items()) or "no settings"
        rows.append(
            (name, f"{', '.join(m.produces)} ← {', '.join(m.consumes)} · {m.summary} · {settings} · {m.reference}")
        )
    return rows


def _metrics() -> list[tuple[str, str]]:
    from qsmbench import metrics

    rows = []
    for m in map(metrics.find, metrics.names()):
        unit = m.unit_of("chi") or "no unit"
        rows.append((m.name, f"{unit} · {m.definition.splitlines()[0]} · {m.reference}"))
    return rows


def _protocols() -> list[tuple[str, str]]:
    from qsmbench.scan.protocol import load_protocol, protocols

    return [(name, f"{p.description} · {p.source}") for name in protocols() for p in [load_protocol(name)]]


def _phantoms() -> list[tuple[str, str]]:
    from qsmbench.paths import data_dir

    files = sorted((data_dir() / "phantoms").glob("*.yaml"))
    return [(f.stem, f.read_text().split("\n", 1)[0].lstrip("# ")) for f in files]  # the first line says what it is


def _scenarios() -> list[tuple[str, str]]:
    from qsmbench.phantom.description.scenario import Scenario, scenarios
    from qsmbench.typed_yaml import load_yaml

    loaded = {name: load_yaml(path, Scenario) for name, path in scenarios().items()}
    return [
        (name, f"{s.question} · {s.endpoint} · cases {', '.join(s.cases)}{' (assumed)' if s.assumed else ''}")
        for name, s in loaded.items()
    ]


def _artifacts() -> list[tuple[str, str]]:
    from qsmbench.data.artifacts import ARTIFACTS

    return [(name, f"{a.file} · {a.unit or 'no unit'} · {a.meaning}") for name, a in ARTIFACTS.items()]


LISTS: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "phantoms": _phantoms,
    "scenarios": _scenarios,
    "protocols": _protocols,
    "methods": _methods,
    "metrics": _metrics,
    "artifacts": _artifacts,
}
