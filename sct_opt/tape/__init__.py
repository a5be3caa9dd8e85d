"""The tape: every model's functions as one list of scalar nodes.

`TapeBuilder` is what front ends emit into; `TapeBuilder.freeze` drops what no output needs and gives a `Tape`, which
everything downstream (patterns, sweeps, programs) interprets and nothing changes.
"""

from sct_opt.tape.builder import TapeBuilder
from sct_opt.tape.frozen import Array, BlackBox, CallSite, ConstantsPolicy, Sources, Tape

__all__ = ["Array", "BlackBox", "CallSite", "ConstantsPolicy", "Sources", "Tape", "TapeBuilder"]
