"""Every exception of the package.

Each class derives from `SctOptError` and from the built-in exception that a caller would expect, so
``except TypeError`` and ``except SctOptError`` both work.  Messages say what happened, where, and what to do instead.
"""

from __future__ import annotations


class SctOptError(Exception):
    """Base class of all errors raised by sct_opt.

    >>> from sct_opt.errors import SctOptError, TracingError
    >>> issubclass(TracingError, SctOptError), issubclass(TracingError, TypeError)
    (True, True)
    """


class TracingError(SctOptError, TypeError):
    """A function cannot be traced soundly: the message names the line and the mend."""


class MissingPrimalError(TracingError):
    """A traced value was used where a number is needed (``if``, ``float``, ``int``, ``math.sin``, an index, and so on)."""


class UnsupportedOperatorError(TracingError, NotImplementedError):
    """An operation, Pyomo expression or CasADi instruction that no row of the operator table covers."""


class ShapeError(SctOptError, ValueError):
    """Arrays, bounds, seeds or structures whose shapes do not fit."""


class ProblemError(SctOptError, ValueError):
    """A problem that makes no sense as given: empty, bounds crossed, a start that is not finite."""


class ModelError(SctOptError, ValueError):
    """A Pyomo or CasADi model that cannot be converted; the message names the component and the mend."""


class PatternError(SctOptError, ValueError):
    """Something that is not a sparsity pattern, or two patterns that do not agree."""


class ColoringError(SctOptError, ValueError):
    """An invalid coloring or coloring problem; names the two columns or rows that clash where there are such."""


class EvaluationError(SctOptError, ArithmeticError):
    """A function value or derivative is not finite where it has to be; names the constraint or variable."""


class SolverError(SctOptError, RuntimeError):
    """The solver could not be run as asked, for example an option that it does not know."""


class MissingDependencyError(SctOptError, ImportError):
    """An optional dependency is not installed; the message holds the command that installs it."""
