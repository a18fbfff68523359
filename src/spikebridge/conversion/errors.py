"""What convert raises when a network cannot become a spiking one."""


class ConversionError(ValueError):
    """A network, or its calibration data, cannot be converted; the message lists every culprit and a way out."""


def not_one_tensor(kind: str, where: str = "") -> ConversionError:
    """The refusal of a network that returns something else than one tensor of real numbers."""
    return ConversionError(
        f"The network returns {kind}{where}; convert handles networks that return one tensor of real numbers, whose "
        f"mean over time is the answer. Wrap it in a module that returns the tensor you need."
    )
