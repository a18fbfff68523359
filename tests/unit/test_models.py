"""Networks by name: what they refuse."""

from __future__ import annotations

import pytest
import torch

from spikebridge.models import MODELS

SMALLEST = {"cnn": 4, "lenet": 12}


@pytest.mark.parametrize("name", SMALLEST)
def test_images_too_small_for_the_pools_are_refused(name: str) -> None:
    smallest = SMALLEST[name]
    assert MODELS[name](image_size=smallest)(torch.zeros(2, 1, smallest, smallest)).shape == (2, 10)
    expected = f"{name} expects images of at least {smallest} x {smallest} pixels; got image_size = {smallest - 1}"
    with pytest.raises(ValueError, match=expected):
        MODELS[name](image_size=smallest - 1)
