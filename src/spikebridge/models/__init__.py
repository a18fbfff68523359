"""Builders with plain arguments; the activation decides whether the network is artificial or spiking."""

from .cnn import cnn as cnn
