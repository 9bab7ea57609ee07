"""How much worse a score may get before the gate fails, per metric."""

from __future__ import annotations

from pathlib import Path

from pydantic import PositiveFloat

from qsmbench.typed_yaml import Model, load_yaml

DEFAULTS = Path(__file__).with_name("margins.yaml")


class Margin(Model):
    """The margin of a metric.

    Attributes:
        margin: largest accepted loss.
        floor: errors below it count as this error, in the unit of the metric.
        reason: of the two values.
    """

    margin: PositiveFloat
    floor: PositiveFloat
    reason: str = ""


class Rounding(Model):
    """The loss up to which two scores are equal."""

    value: PositiveFloat
    reason: str = ""


class Margins(Model):
    """The margins of all metrics, and of time and memory."""

    rounding: Rounding
    default: Margin
    metrics: dict[str, Margin]
    time: Margin
    peak_memory: Margin

    def of(self, metric: str) -> Margin:
        """Return the margin of a metric."""
        costs = {"time": self.time, "peak_memory": self.peak_memory}
        return costs.get(metric) or self.metrics.get(metric, self.default)


def read_margins(path: Path | None = None) -> Margins:
    """Read margins from a YAML file, by default the one of the package.

    Raises:
        QsmbenchError: no such file, or an invalid key or value.
    """
    return load_yaml(path or DEFAULTS, Margins)
