"""The stages of a chain, and the chains that are fed the truth through each of them."""

from __future__ import annotations

from collections.abc import Sequence

from qsmbench.errors import QsmbenchError
from qsmbench.run.chains import FED, TRUTH, Step

INVERSION = "inversion"
"""The last stage: fed the truth through it, a chain gives the true χ."""


def fed(steps: Sequence[Step]) -> dict[str, str]:
    """Return for each stage of a chain the chain that is fed the truth through it; empty for the last stage.

    The truth is inserted after the last step that makes the artifact of a stage, and the true mask with it. All earlier
    steps stay, since later ones may use what else they make, such as a noise map; steps that make masks are left out.

    Args:
        steps: of a chain from the phase to χ.

    Raises:
        QsmbenchError: the chain does not start from the phase, or does not end in χ.
    """
    chain = steps[-1].chain
    if any(s.use.method in (*FED, TRUTH) for s in steps):
        raise QsmbenchError(
            f"attribution: chain {chain!r} contains the truth; choose a chain that starts from the phase"
        )
    if not steps[-1].method.broken and steps[-1].artifacts[:1] != ["chi"]:
        raise QsmbenchError(f"attribution: chain {chain!r} ends in {steps[-1].artifacts[0]}; it must end in chi")
    kept = [s for s in steps if s.method.produces != ("mask",)]
    total, local = (_last_maker(kept, artifact) for artifact in ("total_field", "local_field"))
    names = [s.name for s in kept]
    found = {"mask": ["true_mask", *names]}
    if total is not None:
        names = [*names[: total + 1], "true_total_field", "true_mask", *names[total + 1 :]]
        found["field"] = ["true_mask", *names]
        local = local + 2 if local is not None and local > total else local
    if local is not None and (total is None or local > total):
        names = [*names[: local + 1], "true_local_field", "true_mask", *names[local + 1 :]]
        found["background" if total is not None else "field and background"] = ["true_mask", *names]
    return {**{stage: ".".join(its) for stage, its in found.items()}, INVERSION: ""}


def _last_maker(steps: Sequence[Step], artifact: str) -> int | None:
    """Return the place of the last step that makes an artifact, unless it is the last of all."""
    return next((i for i in reversed(range(len(steps) - 1)) if artifact in steps[i].method.produces), None)


def oracles(steps: Sequence[Step]) -> dict[str, str]:
    """Return the chains whose inversion gets the true local field, without and with this scan's noise.

    Empty for a chain without a local field.

    Args:
        steps: of a chain from the phase to χ.
    """
    kept = [s for s in steps if s.method.produces != ("mask",)]
    local = _last_maker(kept, "local_field")
    if local is None:
        return {}
    rest = ".".join(s.name for s in kept[local + 1 :])
    return {"oracle": f"truth.{rest}", "oracle with noise": f"truth.noisy.{rest}"}


def chains_for(steps: Sequence[Step]) -> list[str]:
    """Return all chains that the attribution of a chain's error needs."""
    return [c for c in (*fed(steps).values(), *oracles(steps).values()) if c]
