"""What takes the place of the first and of the last layers."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from ..blocks.stem import HybridStem
from ..blocks.step_readout import StepReadout
from ..core.encoder import Encoder
from ..core.stock import own_method
from ..core.time import OverTime
from ..encoders import Hybrid
from .ends import End, end_of

Readout = Literal["fixed", "step", "class"]
Stem = Literal["own", "shared"]
Made = TypeVar("Made", bound=nn.Module)

_INSTEAD = {"stem": "stem='shared'", "readout": "readout='fixed'"}


@dataclass
class Places:
    """Says what a copy of a network is to hold in the place of its first and last layers.

    Attributes:
        model: the network.
        order: the modules that take trains, as a forward was seen to call them; None where nobody looked.
        time_steps: T.
        memo: what ``copy.deepcopy`` finds in the place of a module, by the module's id.
    """

    model: nn.Module
    order: Sequence[nn.Module] | None
    time_steps: int
    memo: dict[int, Any]

    def put_readout(self, readout: Readout) -> None:
        """The last layer, with a scale for every step; "fixed" freezes those that there are.

        Raises:
            ValueError: no lifted layer is seen to be the last; one scale per step asked for where there is one per
                class; one per class of a layer that is no ``nn.Linear``.
        """
        if readout == "fixed":
            for part in [part for part in self.model.modules() if isinstance(part, StepReadout)]:
                self._require_stock(part, "readout")
                self.memo[id(part)] = self._scaled(self._copy(part.layer), part.scale, part.per_class, learn=False)
            return
        last, per_class = end_of(self.model, "readout", self.order), readout == "class"
        if isinstance(last, StepReadout):
            self._require_stock(last, "readout")
            self._check_class(last, last.layer, per_class=per_class)
            scale = self._scale_kept(last, per_class=per_class)
            self.memo[id(last)] = self._scaled(self._copy(last.layer), scale, per_class, learn=True)
            return
        lifted = self._lifted(last, "readout")
        *before, (_, layer) = lifted._modules.items()
        assert layer is not None
        self._check_class(lifted, layer, per_class=per_class)
        if not isinstance(layer, nn.Linear):
            self.memo[id(lifted)] = self._scaled(self._lowered(lifted), torch.ones(()), per_class, learn=True)
            return
        made: nn.Module = self._scaled(self._copy(layer), torch.ones(()), per_class, learn=True)
        if before:
            ahead = OverTime(*(self._copy(each) for _, each in before if each is not None))
            made = _alike(nn.Sequential(_alike(ahead, lifted), made), lifted)
        self.memo[id(lifted)] = made

    def put_stem(self, stem: Stem, encoder: Encoder | None) -> None:
        """The first layers, apart for step 0 if this code sends numbers then, and spikes afterwards.

        Raises:
            ValueError: a code with numbers at other steps too; no lifted layer is seen to be the first, or it is the
                last as well; layers of their own for step 0 that are to be shared.
        """
        if not isinstance(encoder, Hybrid) or encoder.is_binary or encoder.rest is None:
            self._require_one_stem(encoder)
            return
        first = end_of(self.model, "stem", self.order)
        if isinstance(first, HybridStem) and stem == "shared":
            raise ValueError(
                f"adapt was asked for a shared stem; '{self._name(first)}' has layers of its own for step 0. Adapt the "
                f"network it came from, or pass stem='own'."
            )
        if isinstance(first, HybridStem) or stem == "shared":
            return
        if encoder.is_spiking != (False,) + (True,) * (encoder.time_steps - 1):
            raise ValueError(
                f"adapt gives step 0 layers of its own; this Hybrid sends numbers at other steps as well, is_spiking = "
                f"{encoder.is_spiking}. Pass Hybrid(Direct(time_steps=1), ...), or stem='shared'."
            )
        lifted = self._lifted(first, "stem")
        if id(lifted) in self.memo:
            raise ValueError(
                f"adapt expects first and last layers to be two modules, to give step 0 layers of its own and every "
                f"step a scale; '{self._name(lifted)}' is both. Pass stem='shared' or readout='fixed'."
            )
        rest = self._lowered(lifted)
        self.memo[id(lifted)] = _alike(HybridStem(copy.deepcopy(rest), rest), lifted)

    def _require_one_stem(self, encoder: Encoder | None) -> None:
        """Refuse another code for a network whose step 0 has layers of its own."""
        own = [part for part in self.model.modules() if isinstance(part, HybridStem)]
        if encoder is not None and own:
            raise ValueError(
                f"adapt was given {type(encoder).__name__}, which sends no numbers at step 0 alone; "
                f"'{self._name(own[0])}' has layers of its own for them. Adapt the network it came from, or keep a "
                f"Hybrid."
            )

    def _lifted(self, found: nn.Module | None, end: End) -> OverTime:
        """The layers at one end, refused unless they are lifted over all steps at once."""
        if isinstance(found, OverTime) and len(found):
            self._require_stock(found, end)
            return found
        which, layer = ("first", "Conv2d") if end == "stem" else ("last", "Linear")
        what = (
            "nothing tells which they are"
            if found is None
            else f"the {which} to take trains is '{self._name(found)}' ({type(found).__name__})"
        )
        advice = f"Lift them, OverTime(nn.{layer}(...)), and name them '{end}', "
        advice += "" if self.order is not None else "or pass a batch to watch, "
        raise ValueError(
            f"adapt expects the {which} layers of {type(self.model).__name__} to be lifted with OverTime; {what}. "
            f"{advice}or pass {_INSTEAD[end]}."
        )

    def _require_stock(self, found: nn.Module, end: End) -> None:
        """Refuse a class whose forward would be lost with it."""
        name = own_method(found)
        if name is not None:
            instead = "" if isinstance(found, StepReadout) else f", or pass {_INSTEAD[end]}"
            raise ValueError(
                f"adapt builds the layers in '{self._name(found)}' anew; its class {type(found).__name__} has a {name} "
                f"of its own, which would be lost. Put what it adds in a module beside plain layers{instead}."
            )

    def _check_class(self, place: nn.Module, layer: nn.Module, *, per_class: bool) -> None:
        if per_class and not isinstance(layer, nn.Linear):
            raise ValueError(
                f"adapt(readout='class') expects a readout that ends in nn.Linear; '{self._name(place)}' ends in "
                f"{type(layer).__name__}. Put what follows the Linear elsewhere, or pass readout='step'."
            )

    def _scale_kept(self, readout: StepReadout, *, per_class: bool) -> Tensor:
        scale = readout.scale.detach()
        if per_class or not readout.per_class:
            return scale
        if bool((scale != scale[:, :1]).any()):
            raise ValueError(
                f"adapt was asked for one scale per step; '{self._name(readout)}' has learned one per class. Pass "
                f"readout='class', or readout='fixed' to keep them as they are."
            )
        return scale[:, 0]

    def _scaled(self, layer: nn.Module, scale: Tensor, per_class: bool, *, learn: bool) -> StepReadout:
        """A StepReadout of this layer with these scales: one, [time] or [time, class]."""
        made = StepReadout(layer, time_steps=self.time_steps, learn=learn, per_class=per_class)
        like = next(layer.parameters(), scale)
        shaped = scale[:, None] if per_class and scale.ndim == 1 else scale
        start = shaped.detach().to(like.device, like.dtype).expand(made.scale.shape).clone()
        made.scale = nn.Parameter(start) if learn else start
        return _alike(made, layer)

    def _lowered(self, lifted: OverTime) -> nn.Sequential:
        """Copies of lifted layers, without the lift."""
        copies = OrderedDict((name, self._copy(each)) for name, each in lifted._modules.items() if each is not None)
        return _alike(nn.Sequential(copies), lifted)

    def _copy(self, module: nn.Module) -> nn.Module:
        # With the memo of the whole network: weights that two places share stay shared.
        return copy.deepcopy(module, self.memo)

    def _name(self, module: nn.Module) -> str:
        names: dict[nn.Module, str] = {part: name for name, part in self.model.named_modules()}
        return names[module]


def _alike(made: Made, like: nn.Module) -> Made:
    """In the same mode; what is in it has one of its own."""
    made.training = like.training
    return made
