"""A trained network as a method: an ONNX model and a short YAML that says what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.external.patches import Patches
from qsmbench.method import ExternalMethod
from qsmbench.threads import n_threads
from qsmbench.typed_yaml import Model, load_yaml

if TYPE_CHECKING:
    import onnxruntime

Positive = Annotated[int, Field(gt=0)]


class Channel(Model):
    """A volume as the network knows it: (value − mean) / sd."""

    artifact: str = Field(description="name of the artifact, such as local_field")
    mean: float = Field(0, description="in the unit of the artifact")
    sd: float = Field(1, gt=0, description="in the unit of the artifact; 0.01 makes 0.01 ppm one")

    @field_validator("artifact")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ARTIFACTS:
            raise ValueError(f"choose from {', '.join(ARTIFACTS)}")
        return name


class Patching(Model):
    """Parts that the network sees one at a time, where the whole volume is too much for it."""

    size: tuple[Positive, Positive, Positive] = Field(description="voxels along x, y, z")
    overlap: Annotated[int, Field(ge=0)] = Field(0, description="voxels that neighbours share")
    blend: Literal["linear", "crop"] = Field(
        "linear", description="linear: from one to the other; crop: each is cut to the half of the overlap next to it"
    )

    @model_validator(mode="after")
    def _advances(self) -> Patching:
        if self.overlap >= min(self.size):
            raise ValueError(f"overlap is {self.overlap}; it must be less than the size {self.size}")
        return self


class Description(Model):
    """What stands beside an ONNX model."""

    model: Path = Field(description="path of the ONNX model, from this file's folder")
    inputs: list[Channel] = Field(min_length=1, description="in the order of the model's inputs or channels")
    outputs: list[Channel] = Field(min_length=1, description="in the order of the model's outputs or channels")
    reference: str = Field(description="author, year, DOI")
    description: str = Field("", description="one line")
    channels: Literal["first", "last"] = Field("first", description="where the model has its channel axis")
    multiple: tuple[Positive, Positive, Positive] | Positive = Field(
        1, description="what a volume is padded to a multiple of, with zeros on both sides"
    )
    stochastic: bool = Field(
        False, description="whether it uses other random numbers in every run, as a diffusion model does"
    )
    patches: Patching | None = Field(None, description="by default the whole volume at once")

    @field_validator("outputs")
    @classmethod
    def _volumes(cls, outputs: list[Channel]) -> list[Channel]:
        for output in outputs:
            if ARTIFACTS[output.artifact].echoes:
                raise ValueError(f"{output.artifact} has echoes; a network's output must be a volume")
        return outputs


def load(path: Path) -> ExternalMethod:
    """Load the network that a YAML file describes; see `Description` for its keys.

    Raises:
        QsmbenchError: the file is missing or invalid, or its model is not there.
    """
    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file; a method's path must name the YAML of a network")
    description = load_yaml(path, Description)
    model = path.parent / description.model
    if not model.is_file():
        raise QsmbenchError(f"{path}: model is {str(description.model)!r}, but there is no {model}")

    def reconstruct(**values: Any) -> tuple[np.ndarray, ...]:
        return _infer(model, description, values)

    inputs = [channel.artifact for channel in description.inputs]
    produces = tuple(channel.artifact for channel in description.outputs)
    return ExternalMethod(
        name=path.stem,
        function=reconstruct,
        produces=produces,
        reference=description.reference,
        files=(path, model, *sorted(path.parent.glob(f"{model.name}[._]data*"))),
        stochastic=description.stochastic,
        inputs=tuple(dict.fromkeys(inputs if "mask" in produces else [*inputs, "mask"])),
        description=description.description or f"The network {path.stem}.",
    )


def _infer(model: Path, description: Description, values: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Compute the outputs of the network in the units of their artifacts, zero outside the mask.

    Raises:
        NotApplicable: onnxruntime is not installed.
        QsmbenchError: the model is damaged.
        ValueError: the model's inputs or outputs are not those of the description.
    """
    session = _session(model)
    raw = [_echoes(values[c.artifact]) for c in description.inputs]
    patching = description.patches or Patching(size=raw[0].shape[1:])
    patches = Patches.of(
        raw[0].shape[1:],
        description.multiple,
        None if description.patches is None else patching.size,
        patching.overlap,
        crop=patching.blend == "crop",
    )
    # normalised part by part, so that the zeros that are padded are zeros of the artifact
    joined = patches.apply(lambda parts: _run(session, parts, description), raw, len(description.outputs))
    made = zip(description.outputs, joined, strict=True)
    return tuple(_product(c, volume, values.get("mask")) for c, volume in made)


def _product(channel: Channel, volume: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    if channel.artifact == "mask":
        return volume > 0.5
    volume = volume * np.float32(channel.sd) + np.float32(channel.mean)
    return volume if mask is None else np.where(mask, volume, np.float32(0))


def _session(model: Path) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime
    except ImportError as e:
        raise NotApplicable("a network needs the package onnxruntime: pip install onnxruntime") from e
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as e:  # its errors have no common base
        raise QsmbenchError(f"{model}: cannot be read as ONNX ({e})") from e


def _echoes(volume: np.ndarray) -> np.ndarray:
    """(channels, nx, ny, nz) float32: echoes are channels."""
    volume = volume.astype(np.float32, copy=False)
    return np.moveaxis(volume, -1, 0) if volume.ndim == 4 else volume[None]


def _check_inputs(session: Any, given: Sequence[np.ndarray]) -> None:
    """Refuse what the model does not take, in words of the description instead of the library's."""
    for wanted, array in zip(session.get_inputs(), given, strict=True):
        if wanted.type != "tensor(float)":
            raise ValueError(f"the model's input {wanted.name} is {wanted.type}; it must be tensor(float)")
        fits = len(wanted.shape) == array.ndim
        fits = fits and all(w == n for w, n in zip(wanted.shape, array.shape, strict=True) if isinstance(w, int))
        if not fits:
            raise ValueError(
                f"the model's input {wanted.name} is {wanted.shape}, the description gives {list(array.shape)}; "
                "set inputs, channels, multiple or patches to fit"
            )


def _run(session: Any, parts: Sequence[np.ndarray], description: Description) -> np.ndarray:
    """(outputs, nx, ny, nz) of a part of the volume, each input of which is (channels, nx, ny, nz)."""
    shape = parts[0].shape[1:]
    described = zip(parts, description.inputs, strict=True)
    channels = [(part - np.float32(c.mean)) / np.float32(c.sd) for part, c in described]
    names = [i.name for i in session.get_inputs()]
    given = [np.concatenate(channels)] if len(names) == 1 else channels
    if len(given) != len(names):
        raise ValueError(f"the model has {len(names)} inputs; the description lists {len(given)}")
    last = description.channels == "last"
    given = [np.ascontiguousarray(np.moveaxis(g, 0, -1) if last else g)[None] for g in given]
    _check_inputs(session, given)
    made = [np.asarray(m, np.float32)[0] for m in session.run(None, dict(zip(names, given, strict=True)))]
    result = np.concatenate([np.moveaxis(m, -1, 0) if last else m for m in made])
    if result.shape != (len(description.outputs), *shape):
        raise ValueError(
            f"the model makes {result.shape} of {shape}; the description lists {len(description.outputs)} outputs"
        )
    return result
