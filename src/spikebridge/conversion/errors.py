"""What convert raises when a network cannot become a spiking one."""


class ConversionError(ValueError):
    """A network, or its calibration data, cannot be converted; the message lists every culprit and a way out."""
