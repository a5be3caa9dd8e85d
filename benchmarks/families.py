"""The benchmark problems by name; a problem's module is imported when it is asked for."""

from __future__ import annotations

import importlib

from problem import Family

NAMES: dict[str, tuple[str, str]] = {
    "luksan-vlcek": ("luksan_vlcek", "FAMILY"),
    "cart-pole": ("cart_pole", "TRAPEZOIDAL"),
    "hermite-simpson": ("cart_pole", "HERMITE_SIMPSON"),
    "opf": ("opf", "FAMILY"),
    "brusselator": ("brusselator", "FAMILY"),
    "scalar-loop": ("scalar_loop", "FAMILY"),
    "hs071": ("hs071", "FAMILY"),
    "detect-brusselator": ("brusselator", "DETECTION"),
    "detect-rosenbrock": ("patterns", "ROSENBROCK"),
    "detect-scalar-loop": ("scalar_loop", "DETECTION"),
    "detect-convolution": ("patterns", "CONVOLUTION"),
    "detect-sum-of-squares": ("patterns", "SUM_OF_SQUARES"),
    "detect-arrow": ("patterns", "ARROW"),
    "detect-dense-rows": ("patterns", "DENSE_ROWS"),
    "detect-bundle-adjustment": ("patterns", "BUNDLE_ADJUSTMENT"),
}
"""Module and attribute of each family."""

GROUPS = {
    "derivatives": [name for name in NAMES if not name.startswith("detect-")],
    "detection": [name for name in NAMES if name.startswith("detect-")],
}
"""Names that stand for several problems."""

COLD = ("luksan-vlcek", "cart-pole", "opf", "scalar-loop")
"""Problems whose cold runs are compared."""


def family(name: str) -> Family:
    """The family of problems called `name`."""
    module, attribute = NAMES[name]
    found: Family = getattr(importlib.import_module(module), attribute)
    return found
