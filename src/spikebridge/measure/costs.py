"""The price of one operation, with its source."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EnergyCosts:
    """The price of one operation; replace it with that of your machine.

    Args:
        mac_pj: one multiply and accumulate, in pJ.
        ac_pj: one accumulate, in pJ.
        byte_pj: one byte between memory and arithmetic, in pJ.
        number_bytes: bytes of one weight, and of one membrane.
        multiplier_bits: width of the multiplier in a MAC, in bits of one operand.
        technology: what the prices are of.
        source: where they are from.

    Raises:  ValueError: a price or size that is not positive and finite.

    >>> HOROWITZ_45NM.mac_pj, HOROWITZ_45NM.ac_pj
    (4.6, 0.9)
    """

    mac_pj: float
    ac_pj: float
    byte_pj: float
    number_bytes: float
    multiplier_bits: int
    technology: str
    source: str

    def __post_init__(self) -> None:
        for name in ("mac_pj", "ac_pj", "byte_pj", "number_bytes", "multiplier_bits"):
            value = getattr(self, name)
            if not 0.0 < value < math.inf:
                raise ValueError(f"EnergyCosts expects {name} > 0 and finite; got {value}. Pass a positive number.")

    def quantised_mac_pj(self, bits: int) -> float:
        """A MAC of an activation of b bits, in pJ:  ac_pj + (mac_pj - ac_pj) * min(1, (b - 1) / (multiplier_bits - 1)).

        One accumulate, and as much of a multiplier as the activation is wide: at one bit there is nothing to multiply,
        at full width it is a MAC. A model, not a measurement; override it for a machine whose multipliers are priced
        otherwise.

        >>> [round(HOROWITZ_45NM.quantised_mac_pj(bits), 2) for bits in (1, 4, 24, 32)]
        [0.9, 1.38, 4.6, 4.6]
        """
        share = min(1.0, (bits - 1) / (self.multiplier_bits - 1)) if self.multiplier_bits > 1 else 1.0
        return self.ac_pj + (self.mac_pj - self.ac_pj) * share


HOROWITZ_45NM = EnergyCosts(
    mac_pj=4.6,
    ac_pj=0.9,
    byte_pj=1.25,
    number_bytes=4,
    multiplier_bits=24,
    technology="45 nm, 0.9 V, float32, 8 KB SRAM",
    source="Horowitz, ISSCC 2014, pp. 10-14",
)
"""Multiplication 3.7 pJ (of mantissas of 24 bits), addition 0.9 pJ; 64 bits from an SRAM of 8 KB 10 pJ. DRAM is 160 to
320 pJ a byte."""

HOROWITZ_45NM_INT8 = EnergyCosts(
    mac_pj=0.3,
    ac_pj=0.1,
    byte_pj=1.25,
    number_bytes=1,
    multiplier_bits=8,
    technology="45 nm, 0.9 V, 8-bit weights and activations, 32-bit sums, 8 KB SRAM",
    source="Horowitz, ISSCC 2014, pp. 10-14",
)
"""Multiplication of 8 bits 0.2 pJ, addition of 32 bits 0.1 pJ: a sum of many products does not fit into 8."""
