"""Weights, gradients and optimiser state shared out over processes, each of which holds its part (FSDP)."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.torch_version import TorchVersion

from .machines import Machines
from .parts import SMALLEST_PART, parts_of


def check_sharding(machines: Machines) -> None:
    """Refuse what cannot be trained in shards.

    Raises:  ValueError: torch before 2.7, a precision that needs its loss scaled, a device without process groups.
    """
    if TorchVersion(torch.__version__) < "2.7":
        raise ValueError(
            f"strategy 'fsdp' needs torch 2.7 or newer, which can leave scalar parameters whole; got "
            f"{torch.__version__}. Update torch, or use 'ddp'."
        )
    if machines.precision == "16-mixed":
        raise ValueError(
            "strategy 'fsdp' cannot be combined with precision '16-mixed', for which Lightning scales no loss of "
            "sharded weights. Use 'bf16-mixed', which needs no scaling, or strategy 'ddp'."
        )
    if machines.device.type == "mps":
        raise ValueError("strategy 'fsdp' runs on 'gpu' and on 'cpu'; got accelerator 'mps'. Use strategy 'auto'.")


class Sharded(ModelParallelStrategy):
    """PyTorch's ``fully_shard`` (FSDP2) under Lightning, on GPUs and on the CPU.

    A copy of the learner's network is trained, whose parameters keep their names and axes and lie in equal shares,
    cut along the first axis, on all processes. A part of the network is whole only while it runs, and what it
    returns must not be changed in place. Checkpoints are those of one process: whole tensors, read and written by
    the checkpoint plugin. After training the weights are put into the network that was passed in.

    Parameters without an axis (a threshold, a leak) cannot be cut: every process holds them, and their gradients are
    averaged.

    Deviates:  Lightning's ``FSDPStrategy`` flattens parameters, so no axis tells kernels from biases, refuses
        parameters without an axis as well as the CPU, and unpickles what it reads.

    Args:
        smallest_part: parameters from which a part is gathered by itself; see :func:`parts_of`.
    """

    def __init__(self, *, smallest_part: int = SMALLEST_PART) -> None:
        super().__init__(save_distributed_checkpoint=False)
        self.smallest_part = smallest_part
        self._whole: nn.Module | None = None
        self._has_failed = False

    def setup_environment(self) -> None:
        """Find the other processes; all of them share out parameters."""
        self._data_parallel_size, self._tensor_parallel_size = self.num_nodes * self.num_processes, 1
        super().setup_environment()

    def setup(self, trainer: Trainer) -> None:
        """Put a sharded copy in the place of the learner's network, then make the optimiser from its parameters."""
        learner: Any = self.lightning_module
        assert self.accelerator is not None
        self.accelerator.setup(trainer)
        self.precision_plugin.convert_module(learner)
        self._make_same(learner)
        self._whole = learner.model
        learner.model = self._shard(learner.model)
        self.model_to_device()
        self.barrier()
        self.setup_optimizers(trainer)
        self.setup_precision_plugin()

    def _make_same(self, learner: nn.Module) -> None:
        """Every process starts from the first one's values, as under DDP."""
        for tensor in (*learner.parameters(), *learner.buffers()):
            value = tensor.detach().to(self.root_device, memory_format=torch.contiguous_format)
            dist.broadcast(value, 0)
            tensor.data.copy_(value)

    def _shard(self, network: nn.Module) -> nn.Module:
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        sharded = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
        if self._layer_sync is not None:
            sharded = self._layer_sync.apply(sharded)
        settings: Any = {
            "mesh": self.device_mesh["data_parallel"],
            "reshard_after_forward": True,  # the outermost part too, so that callbacks never meet two kinds of tensor
            "ignored_params": set(_scalars(sharded)),
        }
        for part in (*parts_of(sharded, smallest=self.smallest_part), sharded):
            fully_shard(part, **settings)
        if hasattr(sharded, "train_out"):
            register_fsdp_forward_method(sharded, "train_out")
        return sharded

    def post_backward(self, closure_loss: Tensor) -> None:
        """Average the gradients that are not shared out."""
        learner: Any = self.lightning_module
        gradients = [scalar.grad for scalar in _scalars(learner.model) if scalar.grad is not None]
        if gradients:
            together = torch.stack(gradients)
            dist.all_reduce(together)
            for gradient, total in zip(gradients, together / self.world_size, strict=True):
                gradient.copy_(total)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Whole tensors, in the first process; every process must ask."""
        assert self.lightning_module is not None
        whole = {name: _gathered(value) for name, value in self.lightning_module.state_dict().items()}
        return whole if self.is_global_zero else {}

    def load_model_state_dict(self, checkpoint: Any, strict: bool = True) -> None:
        """Take this process's part of whole tensors."""
        assert self.lightning_module is not None
        own = self.lightning_module.state_dict()
        weights = {name: _like(own.get(name), value) for name, value in checkpoint["state_dict"].items()}
        self.lightning_module.load_state_dict(weights, strict=strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Whole tensors under the numbers that an optimiser of one process uses, in the first process.

        Raises:  ValueError: state that is shaped unlike its parameter.
        """
        found = optimizer.state_dict()
        parameters = dict(enumerate(_parameters_of(optimizer)))
        whole = {
            number: {key: _gathered(_fitting(value, parameters[number], key)) for key, value in entries.items()}
            for number, entries in found["state"].items()
        }
        return {**found, "state": whole} if self.is_global_zero else {}

    def load_optimizer_state_dict(self, checkpoint: Any) -> None:
        """Take this process's part of whole tensors."""
        for optimizer, found in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = dict(enumerate(_parameters_of(optimizer)))
            own = {
                number: {key: _like(parameters[number], value) for key, value in entries.items()}
                for number, entries in found["state"].items()
            }
            optimizer.load_state_dict({**found, "state": own})

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """What the checkpoint plugin reads, in every process."""
        return self.checkpoint_io.load_checkpoint(checkpoint_path)

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Lightning passes the optimiser's state on, as it does for one process."""
        return True

    def on_exception(self, exception: BaseException) -> None:
        """Remember it: where one process has failed, the others cannot be asked for their parts."""
        self._has_failed = True

    def teardown(self) -> None:
        """Give the learner its own network back, with the weights that were found."""
        learner: Any = self.lightning_module
        if self._whole is not None:
            sharded, learner.model, self._whole = learner.model, self._whole, None
            if not self._has_failed:
                learner.model.load_state_dict({name: _gathered(value) for name, value in sharded.state_dict().items()})
            learner.cpu()
        super().teardown()


def _scalars(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.ndim == 0]


def _parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """In the order in which an optimiser's state numbers them."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _gathered(value: Any) -> Any:
    """The whole of a tensor of which every process holds a part, on the CPU; anything else as it is."""
    from torch.distributed.tensor import DTensor

    return value.full_tensor().cpu() if isinstance(value, DTensor) else value


def _like(own: Any, value: Any) -> Any:
    """The part of ``value`` that this process holds, where ``own`` is such a part; otherwise ``value`` itself."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(own, DTensor) or not isinstance(value, Tensor) or value.shape != own.shape:
        return value
    # Every process has read the whole: nothing is sent. A copy, since a view would keep the whole in memory.
    return distribute_tensor(value.to(own.device), own.device_mesh, own.placements, src_data_rank=None).clone()


def _fitting(value: Any, parameter: Tensor, key: str) -> Any:
    from torch.distributed.tensor import DTensor

    if isinstance(value, DTensor) and value.shape != parameter.shape:
        raise ValueError(
            f"strategy 'fsdp' stores optimiser state that has the shape of its parameter; got '{key}' of shape "
            f"{tuple(value.shape)} for a parameter of shape {tuple(parameter.shape)}. Use SGD or AdamW, or 'ddp'."
        )
    return value
