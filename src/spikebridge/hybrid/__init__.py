"""Spikes in the middle of networks that exist: which layers, with which code, and what it costs."""
