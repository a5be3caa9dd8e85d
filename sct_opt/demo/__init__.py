"""The demo: problems from all three front ends, solved and drawn. Run it with ``sct-opt demo``."""

from sct_opt.demo.runner import run

__all__ = ["run"]
