"""What verify answers: the first difference, or that there is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Where two networks part first.

    Attributes:
        layer: the layer whose input agrees and whose output does not, or else the site.
        site: the activation where the difference shows, by its name in the converted network; "output" for the
            network's own.
        quantity: what differs: "level", "current", "count", "count, alone" (of the neuron by itself), "output", "mean
            output", "shape", "neuron" (that there is one) or "error".
        step: the time-step, from 1; 0 where the quantity has none.
        index: the element, sample first; empty where the quantity has none.
        expected: what the reference has there.
        found: what the converted network has there.
    """

    layer: str
    site: str
    quantity: str
    step: int
    index: tuple[int, ...]
    expected: object
    found: object

    def __str__(self) -> str:
        at = [f"step {self.step}"] if self.step else []
        at += [f"element {self.index}"] if self.index else []
        before = f" (before '{self.site}')" if self.site != self.layer else ""
        where = f" at {', '.join(at)}" if at else ""
        return f"'{self.layer}'{before}, {self.quantity}{where}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, repr=False)
class Verdict:
    """True where two networks are equal, and where they part first where they are not; made for ``assert``.

    Attributes:
        difference: the first one; None if there is none.
        sites: the names of the activations that were compared and agree, in the order they run.
        counts: how many counts were compared and agree.
        samples: how many inputs both networks were run on.
        time_steps: T.
    """

    difference: Difference | None
    sites: tuple[str, ...]
    counts: int
    samples: int
    time_steps: int

    @property
    def equal(self) -> bool:
        """Whether no difference was found."""
        return self.difference is None

    def __bool__(self) -> bool:
        return self.equal

    def __str__(self) -> str:
        agreed = (
            f"{self.counts:,} counts of {len(self.sites)} sites agree on {self.samples} inputs at T = {self.time_steps}"
        )
        return f"equal: {agreed}" if self.equal else f"differ first at {self.difference}; before it {agreed}"

    def __repr__(self) -> str:
        return f"<Verdict {self}>"
