"""Builders with plain arguments; the activation decides whether the network is artificial or spiking."""

from collections.abc import Callable, Mapping

from torch import nn

from .cnn import cnn as cnn
from .has_resnet import has_resnet as has_resnet
from .has_vgg import has_vgg as has_vgg
from .hybrid_cnn import hybrid_cnn as hybrid_cnn
from .lenet import lenet as lenet
from .lenet_cifar import lenet_cifar as lenet_cifar
from .resnet import resnet as resnet
from .spikformer import spikformer as spikformer
from .spiking_resnet import spiking_resnet as spiking_resnet

_BUILDERS = (cnn, has_resnet, has_vgg, hybrid_cnn, lenet, lenet_cifar, resnet, spikformer, spiking_resnet)
MODELS: Mapping[str, Callable[..., nn.Module]] = {builder.__name__: builder for builder in _BUILDERS}
