"""A history of scores as a plot."""

from __future__ import annotations

from pathlib import Path

from qsmbench.errors import QsmbenchError, suggest
from qsmbench.gate.write import read_history


def plot(file: Path, out: Path, metric: str) -> Path:
    """Plot a metric of every chain over the versions of a history file, and return the picture's path.

    Raises:
        QsmbenchError: the history has no such metric, or the picture cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [r for r in read_history(file) if r["value"] != "nan"]
    chosen = [r for r in rows if r["metric"] == metric]
    if not chosen:
        known = dict.fromkeys(r["metric"] for r in rows)
        raise QsmbenchError(f"{file}: has no {metric!r}; {suggest(metric, known)}")
    commits = list(dict.fromkeys(r["commit"] for r in rows))
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for chain in dict.fromkeys(r["chain"] for r in chosen):
        points = [(commits.index(r["commit"]), float(r["value"])) for r in chosen if r["chain"] == chain]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=chain)
    axes.set_xticks(
        range(len(commits)),
        commits,
        rotation=45 if len(commits) > 5 else 0,
        ha="right" if len(commits) > 5 else "center",
    )
    axes.set(ylabel=f"{metric.replace('_', ' ')} [{chosen[0]['unit'] or '1'}]", xlabel="version")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    try:
        figure.savefig(out, dpi=150)
    except (OSError, ValueError) as e:
        raise QsmbenchError(f"{out}: cannot be written ({' '.join(str(e).split())[:100]})") from e
    finally:
        pyplot.close(figure)
    return out
