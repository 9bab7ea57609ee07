"""The list of claims: `configs/review/claims.yaml` as typed models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from qsmbench.errors import QsmbenchError, suggest
from qsmbench.paths import data_dir
from qsmbench.typed_yaml import Model, load_yaml

FILE = Path("configs") / "review" / "claims.yaml"
"""The list of claims, in the data folder."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]


class Scale(Model):
    """How large a study is."""

    voxel_size: float | list[float] | None = Field(None, description="voxel size, mm; null: that of the protocol")
    subjects: Annotated[int, Field(ge=1)] | None = Field(None, description="subjects of each arm")
    set: dict[str, Any] = Field({}, description="keys of the phantom to override")
    set_protocol: dict[str, Any] = Field({}, description="keys of the protocol to override")


class Arm(Model):
    """Scans that differ from those of other arms in what is stated; the other keys are those of the experiment."""

    phantom: str | None = Field(None, description="name of a phantom or scenario")
    protocol: str | None = Field(None, description="name of a protocol")
    case: str | None = Field(None, description="case of the scenario")
    orientation: Annotated[int, Field(ge=0)] | None = Field(None, description="index of an orientation of the protocol")
    set: dict[str, Any] = Field({}, description="keys of the phantom to override")
    set_protocol: dict[str, Any] = Field({}, description="keys of the protocol to override")


class Experiment(Model):
    """A study that claims share: arms with subjects each."""

    phantom: str = Field("head", description="name of a phantom or scenario")
    protocol: str = Field("brain-3t", description="name of a protocol")
    set: dict[str, Any] = Field({}, description="keys of the phantom to override, in all arms")
    set_protocol: dict[str, Any] = Field({}, description="keys of the protocol to override, in all arms")
    people: Literal["same", "other", "none"] = Field(
        "same",
        description="whether the arms scan the same subjects, each arm other ones, or the phantom has no subjects, so "
        "that replicates differ in their noise",
    )
    arms: dict[Name, Arm] = Field(min_length=1)
    probes: dict[str, tuple[float, float, float]] = Field({}, description="places at which images are sampled, mm")
    methods: dict[str, dict[str, Any]] = Field({}, description="variants of methods, as in a study")
    quick: Scale = Field(Scale(), description="what differs from the quick scale")
    full: Scale = Field(Scale(), description="what differs from the full scale")


class Pick(Model):
    """A quantity of each subject: a metric, reduced over regions or lesions."""

    metric: str = Field("mean", description="name of a metric or measure")
    artifact: str = Field("chi", description="the scored artifact")
    chain: str | None = Field(None, description="by default that of the claim")
    arm: str = Field("", description="arm of the experiment; empty: all of them, averaged")
    region: str = Field("", description="region, or name of lesions; empty: all lesions, or the whole scan")
    against: str = Field("", description="second region, of a contrast")
    diameter: tuple[float, float] | None = Field(None, description="of the lesions, mm")
    statistic: Literal["mean", "share", "sign_accuracy", "sign_auc", "contrast", "cnr", "variation", "linearity"] = (
        Field(
            "mean",
            description="mean of the values; mean in %; share of values with the sign of the lesion, %; area under "
            "the ROC curve of the values for para- against diamagnetic lesions; difference of the values of two "
            "regions; the same over their standard deviation; standard deviation over the arms in % of the mean; "
            "squared correlation of the values with the true χ over `regions`",
        )
    )
    regions: list[str] = Field([], description="of the linearity; of the variation: those whose mean it is")


class Rule(Model):
    """What all decision rules have."""

    label: str = Field("", description="what is compared; by default the region")
    regions: list[str] = Field([], description="regions in each of which the rule must hold")


class Tolerance(Rule):
    """The interval of the mean lies inside a margin: supported; wholly outside: contradicted."""

    rule: Literal["tolerance"]
    of: Pick
    minus: Pick | None = Field(None, description="subtracted for each subject")
    over: Pick | None = Field(None, description="divided by for each subject")
    inside: tuple[float | None, float | None] = Field(description="lowest and highest accepted value; null: any")
    unit: str = ""


class Better(Rule):
    """The difference a − b of each subject is above zero: supported; below, or inside the margin: contradicted."""

    rule: Literal["better"]
    a: Pick
    b: Pick
    margin: Annotated[float, Field(ge=0)] = Field(0.0, description="largest difference that counts as none")
    absolute: bool = Field(False, description="whether |a| and |b| are compared")
    unit: str = ""


class Groups(Rule):
    """Patients differ from controls by at least half of the published standardised difference."""

    rule: Literal["groups"]
    of: Pick = Pick()
    patients: str
    controls: str
    direction: Literal[1, -1] = Field(1, description="-1: patients are lower")
    published: Annotated[float, Field(gt=0)] | None = Field(
        None, description="published standardised difference; null: none could be read, so that any counts"
    )


class BetterGroups(Rule):
    """The area under the ROC curve of patients against controls is larger for a than for b."""

    rule: Literal["better_groups"]
    a: Groups
    b: Groups
    margin: Annotated[float, Field(ge=0)] = Field(0.05, description="largest difference that counts as none")


class Slope(Rule):
    """The slope of a quantity against a number of each arm lies inside a margin."""

    rule: Literal["slope"]
    of: Pick
    at: dict[str, float] = Field(min_length=2, description="the number of each arm")
    against: Pick | None = Field(None, description="quantity in place of that number, such as the true mean")
    inside: tuple[float | None, float | None]
    unit: str = ""


AnyRule = Annotated[Tolerance | Better | Groups | BetterGroups | Slope, Field(discriminator="rule")]


class Variant(Model):
    """The same rule under another condition, or with an assumed input at an end of its range."""

    what: str = Field(description="the condition, or the assumed input and its value")
    arms: dict[str, str] = Field({}, description="arms in place of those of the rules")
    assumed: bool = Field(
        True, description="whether it is an assumed input: a change of the verdict makes it undecided"
    )


class Claim(Model):
    """A claim of the review and how it is tested."""

    id: Name
    number: Annotated[int, Field(ge=1)] = Field(description="in the list of the reference")
    claim: str = Field(description="what is claimed, in one line")
    place: str = Field(description="where in the review")
    kind: Literal["emerging", "fed in"] = Field(
        description="emerging: follows from the simulated physics; fed in: a published shift is put into the phantom"
    )
    published: str = Field("", description="published figures")
    experiment: str | None = Field(None, description="name of the study")
    chains: list[str] = Field([], description="chains; the first decides, the others are shown beside it")
    rules: list[AnyRule] = Field([], description="all must hold")
    variants: list[Variant] = Field([])
    rests_on: list[str] = Field([], description="assumed inputs that the verdict depends on")
    caveat: str = Field("", description="how the experiment differs from what is claimed")
    cannot: str = Field("", description="why it cannot be run; empty if it can")

    @model_validator(mode="after")
    def _complete(self) -> Claim:
        if bool(self.cannot) == bool(self.experiment):
            raise ValueError(f"claim {self.id}: state either an experiment or why it cannot be run")
        if self.experiment and not (self.rules and self.chains):
            raise ValueError(f"claim {self.id}: an experiment needs chains and rules")
        return self

    def picks(self) -> Iterator[Pick]:
        """Yield the quantities of all rules."""
        for rule in self.rules:
            yield from picks_of(rule)


def picks_of(rule: AnyRule) -> list[Pick]:
    """Return the quantities of a rule, with their arms."""
    if isinstance(rule, Tolerance):
        return [p for p in (rule.of, rule.minus, rule.over) if p is not None]
    if isinstance(rule, Better):
        return [rule.a, rule.b]
    if isinstance(rule, Groups):
        return [rule.of.model_copy(update={"arm": arm}) for arm in (rule.patients, rule.controls)]
    if isinstance(rule, BetterGroups):
        return [*picks_of(rule.a), *picks_of(rule.b)]
    picks = [rule.of] if rule.against is None else [rule.of, rule.against]
    return [p.model_copy(update={"arm": arm}) for p in picks for arm in rule.at]


class Image(Model):
    """A kind of image in a table of the review: a column."""

    name: str = Field(description="as the review calls it")
    artifact: str = Field(description="its artifact")
    chain: str = Field(description="the chain that computes it")
    made_from: str = Field(description="what it is computed from")


class Quantity(Model):
    """A quantity of each image: a row for each field strength."""

    label: str = Field(description="what is measured")
    experiment: Name = Field(description="name of the study")
    of: Pick = Field(description="the quantity; its arm, artifact and chain are those of the table")
    arms: dict[str, str] = Field(min_length=1, description="arm of the experiment by field strength; empty: all arms")
    over: dict[str, str] = Field({}, description="arm by which the quantity is divided for each subject")
    chains: dict[str, str] = Field({}, description="by name of an image, a chain in place of its own")
    only: list[str] = Field([], description="names of the images that have this quantity; by default all")
    unit: str = ""


class Table(Model):
    """A table of the review, measured."""

    title: str
    place: str = Field(description="where in the review")
    images: list[Image] = Field(min_length=1)
    quantities: list[Quantity] = Field(min_length=1)
    caveat: str = Field("", description="what is measured otherwise than one may expect")

    def picks(self, row: Quantity) -> Iterator[tuple[str, str, Pick, Pick | None]]:
        """Yield image, field strength, quantity, and the one that divides it (or None), of each cell."""
        for image in self.images:
            if row.only and image.name not in row.only:
                continue
            chain = row.chains.get(image.name, image.chain)
            for b0, arm in row.arms.items():
                own = {"artifact": image.artifact, "chain": chain}
                over = row.of.model_copy(update={**own, "arm": row.over[b0]}) if row.over else None
                yield image.name, b0, row.of.model_copy(update={**own, "arm": arm}), over


class Review(Model):
    """The claims of a review, and the experiments that they share."""

    review: str = Field(description="citation of the review")
    scales: dict[Literal["quick", "full"], Scale] = Field(description="voxel size and subjects of all experiments")
    experiments: dict[Name, Experiment]
    claims: list[Claim] = Field(min_length=1)
    tables: list[Table] = Field([], description="tables of the review, which are measured")

    @model_validator(mode="after")
    def _consistent(self) -> Review:
        ids = [c.id for c in self.claims]
        if twice := [i for n, i in enumerate(ids) if i in ids[:n]]:
            raise ValueError(f"two claims are called {twice[0]!r}")
        for claim in self.claims:
            if claim.experiment is None:
                continue
            if claim.experiment not in self.experiments:
                known = suggest(claim.experiment, self.experiments)
                raise ValueError(f"claim {claim.id}: experiment {claim.experiment!r} is unknown; {known}")
            arms = self.experiments[claim.experiment].arms
            named = [p.arm for p in claim.picks() if p.arm]
            named += [a for v in claim.variants for pair in v.arms.items() for a in pair]
            for arm in named:
                if arm not in arms:
                    raise ValueError(f"claim {claim.id}: arm {arm!r} is unknown; {suggest(arm, arms)}")
        for table in self.tables:
            labels = [q.label for q in table.quantities]
            if twice := [n for i, n in enumerate(labels) if n in labels[:i]]:
                raise ValueError(f"two quantities of {table.title!r} are called {twice[0]!r}")
            for row in table.quantities:
                self._check(table, row)
        return self

    def _check(self, table: Table, row: Quantity) -> None:
        where = f"quantity {row.label!r}"
        if row.experiment not in self.experiments:
            known = suggest(row.experiment, self.experiments)
            raise ValueError(f"{where}: experiment {row.experiment!r} is unknown; {known}")
        arms, images = self.experiments[row.experiment].arms, [i.name for i in table.images]
        for arm in filter(None, [*row.arms.values(), *row.over.values()]):
            if arm not in arms:
                raise ValueError(f"{where}: arm {arm!r} is unknown; {suggest(arm, arms)}")
        for name in [*row.only, *row.chains]:
            if name not in images:
                raise ValueError(f"{where}: image {name!r} is unknown; {suggest(name, images)}")
        if row.of.statistic in ("contrast", "cnr") and not row.of.against:
            raise ValueError(f"{where}: the {row.of.statistic} needs a second region, against")
        if row.over and set(row.over) != set(row.arms):
            raise ValueError(f"{where}: over must name the field strengths of arms, {', '.join(row.arms)}")

    def chosen(self, ids: Sequence[str]) -> list[Claim]:
        """Return the claims with these ids or numbers; all if none is given.

        Raises:
            QsmbenchError: there is no such claim.
        """
        if not ids:
            return list(self.claims)
        known = {name: c for c in self.claims for name in (c.id, str(c.number))}
        for name in ids:
            if name not in known:
                raise QsmbenchError(
                    f"--claim {name}: there is no such claim; {suggest(name, [c.id for c in self.claims])}"
                )
        return list({known[name].id: known[name] for name in ids}.values())

    def chains(self, experiment: str) -> list[str]:
        """Return the chains that claims and tables need of an experiment, the first of each claim first."""
        mine = [c for c in self.claims if c.experiment == experiment]
        own = [chain for c in mine for chain in c.chains]
        rows = [(t, q) for t in self.tables for q in t.quantities if q.experiment == experiment]
        shown = [p.chain for t, q in rows for _, _, p, _ in t.picks(q) if p.chain]
        return list(dict.fromkeys([*own, *(p.chain for c in mine for p in c.picks() if p.chain), *shown]))


@cache
def load_claims(path: Path | None = None) -> Review:
    """Load the list of claims.

    Raises:
        QsmbenchError: it is missing or invalid.
    """
    return load_yaml(path or data_dir() / FILE, Review)
