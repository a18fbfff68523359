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
    technology: str
    source: str

    def __post_init__(self) -> None:
        for name in ("mac_pj", "ac_pj", "byte_pj", "number_bytes"):
            value = getattr(self, name)
            if not 0.0 < value < math.inf:
                raise ValueError(f"EnergyCosts expects {name} > 0 and finite; got {value}. Pass a positive number.")

    def quantised_mac_pj(self, bits: int) -> float:
        """A MAC whose activation has so many bits, in pJ:  min(mac_pj, bits * ac_pj).

        A model, not a measurement: a weight times a whole number of b bits is at most b additions of the shifted
        weight, and no machine need pay more than a multiplier. Shifts are taken as free. At one bit it is an
        accumulate, so the ANN pays for a bit what the spiking network pays for a spike. Override it for a machine
        whose multipliers are priced by width.

        >>> [round(HOROWITZ_45NM.quantised_mac_pj(bits), 2) for bits in (1, 3, 8)]
        [0.9, 2.7, 4.6]
        """
        return min(self.mac_pj, bits * self.ac_pj)


HOROWITZ_45NM = EnergyCosts(
    mac_pj=4.6,
    ac_pj=0.9,
    byte_pj=1.25,
    number_bytes=4,
    technology="45 nm, 0.9 V, float32, 8 KB SRAM",
    source="Horowitz, ISSCC 2014, pp. 10-14",
)
"""Multiplication 3.7 pJ, addition 0.9 pJ; 64 bits from an SRAM of 8 KB 10 pJ. DRAM is 160 to 320 pJ a byte."""

HOROWITZ_45NM_INT8 = EnergyCosts(
    mac_pj=0.23,
    ac_pj=0.03,
    byte_pj=1.25,
    number_bytes=1,
    technology="45 nm, 0.9 V, int8, 8 KB SRAM",
    source="Horowitz, ISSCC 2014, pp. 10-14",
)
"""Multiplication 0.2 pJ, addition 0.03 pJ, both of 8 bits; an addition of 32 bits is 0.1 pJ."""
