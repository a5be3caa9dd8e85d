"""The derivative engine: one program over many instances.

A tape's outputs are split into terms (`split`), terms that share work are clustered and clusters that are the same
expressions over other indices found to be one program (`cluster`), whose values and derivatives are written as
expressions (`graph`, `derive`) and compiled (`codegen`) into kernels that fill the entries of results (`plan`,
`engine`).  What does not repeat is left to the compressed form (`leftover`).
"""

from sct_opt.programs.engine import Engine, Runner
from sct_opt.programs.options import EngineOptions, Mode

__all__ = ["Engine", "EngineOptions", "Mode", "Runner"]
