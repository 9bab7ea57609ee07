"""Running a method on scenes, within limits."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from qsmbench.conform.scene import Scene, Volumes
from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.method import Method
from qsmbench.run.call import checked


class Failed(Exception):
    """Raised if the method gave no usable result; the message is the reason."""


class OutOfTime(BaseException):
    """Raised when the time limit is reached; not an Exception, so that methods do not catch it."""


class Trial:
    """A method with its settings, its products on the scenes so far, and the inputs that it changed.

    Attributes:
        method: the method.
        settings: by name; the others have their defaults.
        changed: names of the inputs that the method has written to.
    """

    def __init__(self, method: Method, settings: Mapping[str, Any], time_limit: float) -> None:
        self.method = method
        self.settings = dict(settings)
        self.changed: set[str] = set()
        self._end = time.monotonic() + time_limit
        self._known: dict[int, tuple[Scene, Volumes]] = {}

    def products(self, scene: Scene, *, again: bool = False) -> Volumes:
        """Return the products by name, finite and of the right shape, cached by scene.

        Args:
            scene: to run on.
            again: run again even if a result is cached.

        Raises:
            NotApplicable: the method cannot run on this scene.
            QsmbenchError: the method rejects the scene; the message is its reason.
            Failed: it raised anything else, or its products are not usable.
            OutOfTime: the time limit was reached.
        """
        if not again and id(scene) in self._known:
            return self._known[id(scene)][1]
        arguments, before = scene.arguments(self.method), _arrays(scene.arguments(self.method))
        products = self._run(arguments, scene)
        for name, value in _arrays(arguments).items():
            if not np.array_equal(value, before[name], equal_nan=value.dtype.kind == "f"):
                self.changed.add(name)
        if not again:
            self._known[id(scene)] = scene, products
        return products

    def _run(self, arguments: dict[str, Any], scene: Scene) -> Volumes:
        try:
            with _alarm(self._end - time.monotonic()), warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                products = checked(self.method, self.method(**arguments, **self.settings), scene.grid)
        except (NotApplicable, QsmbenchError):
            raise
        except Exception as e:  # a method may raise anything
            kind = "" if type(e) is ValueError else f"{type(e).__name__}: "
            raise Failed(" ".join(f"{kind}{e}".split())[:300]) from e
        wrong = [n for n, v in products.items() if v.ndim == 4 and v.shape[3] != scene.te.size]
        if wrong:
            raise Failed(f"{wrong[0]} has {products[wrong[0]].shape[3]} echoes; the scan has {scene.te.size}")
        return {n: v.astype(bool) if n == "mask" else v.copy() for n, v in products.items()}


def _arrays(arguments: Mapping[str, Any]) -> Volumes:
    """Return the arrays among a method's arguments."""
    fields = {f"orientation {i}": o.local_field for i, o in enumerate(arguments.get("orientations", ()))}
    return {n: v for n, v in arguments.items() if isinstance(v, np.ndarray)} | fields


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise OutOfTime after `seconds`; outside the main thread, which receives no signals, before or after the call."""
    end = time.monotonic() + seconds
    if seconds <= 0:
        raise OutOfTime
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        if time.monotonic() > end:
            raise OutOfTime
        return

    def ring(*_: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
