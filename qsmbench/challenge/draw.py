"""Secret phantoms and protocols: every seed, and the χ of every tissue, derives from a secret."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from qsmbench.challenge.config import Entry, Redraw
from qsmbench.challenge.secret import Secret
from qsmbench.errors import QsmbenchError
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.load import cases, load
from qsmbench.scan.protocol import load_protocol
from qsmbench.seeds import generator
from qsmbench.study.simulate import Described


def secret_scan(entry: Entry, secret: Secret, redraw: Redraw) -> Described:
    """Return a scan of a secret subject.

    Args:
        entry: of the challenge.
        secret: of this scan; all that is random derives from it.
        redraw: how χ is drawn.

    Raises:
        QsmbenchError: no such phantom, case, protocol or key, or the phantom has no tissue that is drawn.
    """
    phantom = secret_phantom(entry, secret, redraw)
    protocol = _reseeded(load_protocol(entry.protocol, entry.set_protocol), secret, "protocol")
    return Described(phantom, protocol, [0], secret.seed("noise"))


def secret_phantom(entry: Entry, secret: Secret, redraw: Redraw) -> Phantom:
    """Return the phantom of a secret subject; see `secret_scan`."""
    keys = {**entry.set, **_case(entry, secret)}
    plain = load(entry.phantom, keys)
    if getattr(plain.description, "population", None) is not None:
        keys["subject"] = secret.seed("subject")
        plain = load(entry.phantom, keys)
    keys |= _drawn(plain, secret, redraw)
    phantom = load(entry.phantom, keys)
    return replace(phantom, description=_reseeded(phantom.description, secret, "phantom"))


def _case(entry: Entry, secret: Secret) -> dict[str, str]:
    known = cases(entry.phantom)
    for name in entry.cases:
        if name not in known:
            legal = f"choose from {', '.join(known)}" if known else "it is a phantom, and has none"
            raise QsmbenchError(f"{entry.phantom}: case {name!r} is unknown; {legal}")
    if not entry.cases:
        return {}
    return {"case": entry.cases[int(generator(secret.seed("case")).integers(len(entry.cases)))]}


def _drawn(phantom: Phantom, secret: Secret, redraw: Redraw) -> dict[str, Any]:
    """Draw the parts of χ of each tissue, as keys of the phantom.

    R2* of a tissue that is drawn is computed from the sum of both parts, which does not change. Each tissue has a seed
    of its own, so that an added tissue does not change the others.
    """
    keys: dict[str, Any] = {}
    for tissue in phantom.tissues_used:
        if tissue.group not in redraw.groups or not tissue.follows_chi:
            continue
        total = tissue.at("chi_para", 0) + tissue.at("chi_dia", 0)
        share = float(generator(secret.seed("tissue", tissue.name)).uniform(*redraw.share))
        keys[f"tissues.{tissue.name}.chi_para"] = share * total
        keys[f"tissues.{tissue.name}.chi_dia"] = (1 - share) * total
    if not keys:
        groups = ", ".join(redraw.groups)
        raise QsmbenchError(
            f"{phantom.path}: has no tissue of the groups {groups} whose R2* follows its χ, so that every secret "
            "subject would have the same χ; name other groups in redraw.groups"
        )
    texture = phantom.description.texture
    if texture is not None and redraw.balance:
        keys |= {f"texture.groups.{g}.balance": redraw.balance for g in redraw.groups if g in texture.groups}
    return keys


def _reseeded(model: Any, secret: Secret, place: str) -> Any:
    """Return a description with every seed in it derived from the secret.

    What had equal seeds keeps equal ones within the same part: sources of one seed lie in the same places.
    """
    if isinstance(model, BaseModel):
        names = type(model).model_fields
        return model.model_copy(update={n: _inner(n, getattr(model, n), secret, place) for n in names})
    if isinstance(model, tuple | list):
        return type(model)(_reseeded(part, secret, place) for part in model)
    if isinstance(model, dict):
        return {name: _reseeded(part, secret, place) for name, part in model.items()}
    return model


def _inner(name: str, value: Any, secret: Secret, place: str) -> Any:
    if name == "seed" and isinstance(value, int):
        return secret.seed("seed", place, str(value))
    return _reseeded(value, secret, f"{place}.{name}" if place in ("phantom", "protocol") else place)
