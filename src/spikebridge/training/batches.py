"""Batches whose size and order do not depend on how many processes share them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, DistributedSampler


class Batches(LightningDataModule):
    """Training and validation sets, cut into batches of one size over all processes together.

    The order of an epoch follows from the seed and the epoch alone; of each batch every process takes its share. So
    one process and many see the same batches, and a resumed run sees those of an uninterrupted one.

    Args:
        train: pairs of (values, target).
        validation: pairs of (values, target), or None.
        batch_size: samples of one optimiser step, over all processes.
        seed: of the order.
        workers: processes that load data, for each training process.
    """

    def __init__(
        self,
        train: Dataset[Any],
        validation: Dataset[Any] | None = None,
        *,
        batch_size: int,
        seed: int,
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.train, self.validation = train, validation
        self.batch_size, self.seed, self.workers = batch_size, seed, workers

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.train, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return [] if self.validation is None else self._loader(self.validation, shuffle=False)

    def _loader(self, data: Dataset[Any], *, shuffle: bool) -> DataLoader[Any]:
        processes, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        if self.batch_size % processes:
            raise ValueError(
                f"Batches expects a batch size that {processes} processes can share evenly; got {self.batch_size}. "
                f"Take a multiple of {processes}."
            )
        share = self.batch_size // processes
        order = EpochOrder(data, processes=processes, rank=rank, shuffle=shuffle, seed=self.seed)
        return _LateLoader(
            data,
            batch_size=share,
            sampler=order,
            # A last batch of another size would be compiled anew, and weigh its samples more than the others.
            drop_last=shuffle and len(order) >= share,
            num_workers=self.workers,
            generator=order.generator,
        )


class _LateLoader(DataLoader[Any]):
    """Starts its workers when the first batch is asked for: Lightning makes the iterator before it sets the epoch."""

    def __iter__(self) -> Any:
        yield from super().__iter__()


class EpochOrder(DistributedSampler[Any]):
    """The samples of one process in the order of an epoch, and the generator that seeds its loader's workers.

    Both follow from the seed and the epoch. A loader without a generator of its own would draw from the global one
    when its iterator is made, which a resumed run does at another moment than an uninterrupted one.

    Args:
        data: what is sampled.
        processes: that share it.
        rank: which of them this is.
        shuffle: whether each epoch has an order of its own.
        seed: of all orders.
    """

    def __init__(self, data: Dataset[Any], *, processes: int, rank: int, shuffle: bool, seed: int) -> None:
        super().__init__(data, num_replicas=processes, rank=rank, shuffle=shuffle, seed=seed)
        # Nothing is sampled twice to make shares equal: in training the rest is dropped, in validation shares differ.
        size = len(self.dataset)  # type: ignore[arg-type]
        self.num_samples = size // processes if shuffle else len(range(rank, size, processes))
        self.total_size = size // processes * processes if shuffle else size
        self.generator = torch.Generator()
        self.set_epoch(0)

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(size, generator=generator).tolist() if self.shuffle else list(range(size))
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        super().set_epoch(epoch)
        self.generator.manual_seed(seed_of(self.seed, epoch, self.rank))


def seed_of(seed: int, epoch: int, rank: int) -> int:
    """A seed for one epoch of one process, unlike that of any other."""
    return int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1)[0])
