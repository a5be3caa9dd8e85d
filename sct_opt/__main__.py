"""`python -m sct_opt` is `sct-opt`."""

from __future__ import annotations

from sct_opt.cli import main

if __name__ == "__main__":
    main()
