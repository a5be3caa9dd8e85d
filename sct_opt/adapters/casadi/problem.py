"""CasADi's problem dictionaries: checked, on the tape, with names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import casadi
import numpy as np

from sct_opt.adapters.casadi.emit import emit
from sct_opt.errors import ModelError, ProblemError, ShapeError
from sct_opt.tape import Tape, TapeBuilder

Array = np.ndarray[Any, Any]


class Problem:
    """A checked problem dictionary: expressions x, p, f, g of one type, g dense or its structural zeros known.

    Args:
        x: variables.
        p: parameters.
        f: objective.
        g: constraints.
    """

    def __init__(self, x: Any, p: Any, f: Any, g: Any) -> None:
        self.x, self.p, self.f, self.g = x, p, f, g

    def tape(self, parameters: Array) -> Tape:
        """The tape of ``[f, g…]`` over x and p."""
        builder = TapeBuilder()
        x = builder.inputs(self.x.numel())
        p = builder.parameter_block(parameters)
        f, g = self.emit(builder, x, p)
        return builder.freeze(np.concatenate([f, g]))

    def emit(self, builder: TapeBuilder, x: Array, p: Array) -> tuple[Array, Array]:
        """Node ids of f and of all elements of g for given ids of all elements of x and p."""
        function = checked_function(self.x, self.p, self.f, self.g)
        ids = emit(builder, function, [x[structural(self.x)], p[structural(self.p)]])
        f = np.concatenate([ids[0], np.full(1 - ids[0].size, builder.constant(0.0), dtype=np.int32)])
        g = np.full(self.g.numel(), builder.constant(0.0), dtype=np.int32)
        g[structural(self.g)] = ids[1]
        return f, g


def structural(expression: Any) -> Array:
    """Column-major positions of the structural nonzeros."""
    if expression.is_dense():
        return np.arange(expression.numel())
    return np.array(expression.sparsity().find(), dtype=np.int64)


def read_dictionary(model: Mapping[str, Any]) -> Problem:
    """Check the entries of a problem dictionary and bring them to one expression type."""
    unknown = sorted(set(model) - {"x", "p", "f", "g"})
    if unknown:
        raise ModelError(
            f"unknown entry {unknown[0]!r} in the problem; it has x (variables), p (parameters), f (objective), g (constraints)"
        )
    if "x" not in model:
        raise ProblemError("the problem has no variables: give the entry 'x'")
    kinds = {name: type(value) for name, value in model.items() if isinstance(value, casadi.SX | casadi.MX)}
    if len(set(kinds.values())) > 1:
        pairs = ", ".join(f"{name} is {kind.__name__}" for name, kind in kinds.items())
        raise ModelError(f"SX and MX expressions cannot be mixed ({pairs}); write the problem in one of them")
    if "x" not in kinds:
        raise ModelError(f"x has to be a symbol of SX or MX, got {type(model['x']).__name__}")
    symbolic = kinds["x"]
    entries = {
        name: _expression(symbolic, model.get(name, default), name)
        for name, default in (("x", None), ("p", symbolic(0, 0)), ("f", 0.0), ("g", symbolic(0, 1)))
    }
    if entries["x"].nnz() == 0:
        raise ProblemError("the problem has no variables: x is empty")
    if entries["f"].numel() != 1:
        raise ShapeError(f"the objective f has to be one number, got shape {tuple(entries['f'].shape)}; sum it up")
    for name in ("x", "p"):
        if entries[name].numel() and not entries[name].is_valid_input():
            raise ModelError(
                f"{name} has to consist of symbols, got the expression {_short(entries[name])}; solve for the symbols and put the expression into f or g"
            )
    return Problem(**entries)


def _expression(symbolic: Any, value: Any, name: str) -> Any:
    if isinstance(value, list | tuple):
        value = casadi.vertcat(*value)
    try:
        return symbolic(value)
    except (NotImplementedError, TypeError) as error:
        raise ModelError(f"{name} is not a CasADi expression: {type(value).__name__}") from error


def checked_function(x: Any, p: Any, f: Any, g: Any) -> casadi.Function:
    """The function ``(x, p) -> (f, g)``; free symbols are named."""
    function = casadi.Function("nlp", [x, p], [f, g], ["x", "p"], ["f", "g"], {"allow_free": True})
    if function.has_free():
        free = [str(name) for name in function.get_free()]
        raise ModelError(
            f"the symbols {', '.join(free[:5])}{', …' if len(free) > 5 else ''} occur in f or g but neither in x nor in p; "
            "add them to x (to be found) or to p (given)"
        )
    return function


def parameter_values(p: Any, symbols: Any) -> Array:
    """Values of the parameters; all of them have to be given."""
    count = int(symbols.numel())
    if p is None:
        if count:
            names = element_names(symbols, "p")
            raise ProblemError(
                f"the problem has {count} parameters ({', '.join(names[:3])}{', …' if count > 3 else ''}) but no values: give p="
            )
        return np.zeros(0)
    values = vector(p, count, "p", 0.0, "p")
    if not np.isfinite(values).all():
        k = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ProblemError(f"parameter {element_names(symbols, 'p')[k]} is {values[k]}; parameters have to be finite")
    return values


def vector(value: Any, size: int, name: str, default: float, target: str) -> Array:
    """``size`` numbers in column-major order; one number stands for all."""
    if value is None:
        return np.full(size, default)
    if isinstance(value, float | int):  # the common case of a receding horizon, worth its microseconds
        return np.full(size, float(value))
    try:
        array = value.full() if isinstance(value, casadi.DM) else _numeric(value)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ShapeError(f"{name} is not numeric: {type(value).__name__}") from error
    array = array.ravel(order="F")
    if array.size == 1:
        return np.full(size, array[0])
    if array.size != size:
        raise ShapeError(
            f"{name} has {array.size} entries, but {target} has {size}; give one number for all or one for each"
        )
    return array.copy()


def _numeric(value: Any) -> Array:
    return np.asarray(value if isinstance(value, np.ndarray) else casadi.DM(value).full(), dtype=float)


def element_names(expression: Any, label: str, symbolic: bool = True) -> tuple[str, ...]:
    """A name for each element: the symbol's own, with its index where it has more than one element."""
    if symbolic and isinstance(expression, casadi.SX):
        names = [""] * expression.numel()
        for position, element in zip(structural(expression).tolist(), expression.nonzeros(), strict=True):
            names[position] = str(element)
        return _indexed(names)
    if symbolic:
        parts = [expression] if expression.is_symbolic() else expression.primitives()
        if sum(part.numel() for part in parts) == expression.numel():
            return tuple(name for part in parts for name in _of_shape(str(part.name()), part.shape))
    return tuple(_of_shape(label, expression.shape))


def _of_shape(name: str, shape: tuple[int, int]) -> list[str]:
    rows, columns = shape
    if rows == columns == 1:
        return [name]
    if columns == 1:
        return [f"{name}[{i}]" for i in range(rows)]
    return [f"{name}[{i},{j}]" for j in range(columns) for i in range(rows)]


def _indexed(names: list[str]) -> tuple[str, ...]:
    """SX names ``x_3`` of vector symbols stay apart from other symbols: written ``x[3]`` where that is unambiguous."""
    stems = [name.rpartition("_") for name in names]
    members: dict[str, int] = {}
    for stem, _, index in stems:
        if stem and index.isdigit():
            members[stem] = members.get(stem, 0) + 1
    return tuple(
        f"{stem}[{index}]" if stem and index.isdigit() and members[stem] > 1 else name
        for name, (stem, _, index) in zip(names, stems, strict=True)
    )


def _short(expression: Any) -> str:
    text = str(expression)
    return text if len(text) <= 60 else text[:57] + "…"
