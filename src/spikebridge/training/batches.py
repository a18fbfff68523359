"""Batches whose size and order do not depend on how many processes share them."""

from __future__ import annotations

from typing import Any

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
        sampler: Any = DistributedSampler(
            data,
            num_replicas=processes,
            rank=rank,
            shuffle=shuffle,
            seed=self.seed,
        )
        return DataLoader(
            data,
            batch_size=share,
            sampler=sampler,
            # A last batch of another size would be compiled anew, and weigh its samples more than the others.
            drop_last=shuffle and len(sampler) >= share,
            num_workers=self.workers,
            persistent_workers=False,
        )
