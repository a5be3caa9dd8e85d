"""Why is this entry of a Jacobian or Hessian structurally nonzero?  A chain of operations with their places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sct_opt.errors import PatternError, ProblemError
from sct_opt.nlp import NLP
from sct_opt.ops import AFFINE, BLACKBOX, FLAG_A, FLAG_AA, FLAG_AB, FLAG_B, FLAG_BB, OPS, SELECT
from sct_opt.tape import Tape
from sct_opt.tracing import trace_function
from sct_opt.tracing.provenance import SourceBuilder

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a chain.

    Attributes:
        node: node id on the tape.
        operator: canonical name.
        place: ``file:line in function: code``, empty if the tape does not know.
    """

    node: int
    operator: str
    place: str

    def __str__(self) -> str:
        return f"{self.operator:<14}{self.place}".rstrip()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What makes an entry structurally nonzero; print it.

    Attributes:
        entry: the entry in words.
        chains: for each of the inputs involved, the operations from it on; for a Jacobian entry one chain that ends at
            the output, for a Hessian entry two that end at the operation that couples them.
        inputs: names of the inputs that the chains start from.
        coupling: for a Hessian entry the nonlinear operation where the two chains meet.
    """

    entry: str
    chains: tuple[tuple[Step, ...], ...]
    inputs: tuple[str, ...]
    coupling: Step | None = None

    def __str__(self) -> str:
        lines = [f"{self.entry} is structurally nonzero:"]
        for name, chain in zip(self.inputs, self.chains, strict=True):
            lines.append(f"  {name}")
            lines += [f"  -> {step}" for step in chain]
        if self.coupling is not None:
            lines.append(f"  coupled by {self.coupling}")
        if not any(step.place for chain in self.chains for step in chain) and (
            self.coupling is None or not self.coupling.place
        ):
            lines.append("  (places unknown: trace with provenance=True to see them)")
        return "\n".join(lines)


def explain(problem: Callable[..., Any] | NLP, *where: Any, hessian: bool = False) -> Explanation:
    """Show why an entry of a derivative is structurally nonzero.

    ``explain(f, x, i, j)`` explains entry (i, j) of the Jacobian of ``f`` (outputs and inputs flattened), or with
    ``hessian=True`` of the Hessian of any weighted sum of its outputs.  ``explain(nlp, constraint, variable)``
    explains an entry of the constraints' Jacobian, ``explain(nlp, variable, variable, hessian=True)`` one of the
    Lagrangian Hessian; constraints and variables are names or indices.

    Args:
        problem: A function, or a problem. A problem knows the places in the source if it was made by
            ``from_callables(…, provenance=True)``.
        where: ``x, i, j`` for functions, two names or indices for problems.
        hessian: Explain an entry of the Hessian.

    Returns:
        The explanation.

    Raises:
        PatternError: If the entry is structurally zero.
        ProblemError: If an index or name does not exist.

    Examples:
        >>> import numpy as np
        >>> import sct_opt as so
        >>> reason = so.explain(lambda x: [x[0], np.sin(x[1] * x[2])], np.ones(3), 1, 2)
        >>> [step.operator for step in reason.chains[0]]
        ['mul', 'sin']
        >>> so.explain(lambda x: x[0] * np.exp(x[1]), np.ones(2), 0, 1, hessian=True).coupling.operator
        'mul'
    """
    if isinstance(problem, NLP):
        if len(where) != 2:
            raise ProblemError("explain(nlp, …) needs a constraint and a variable, or two variables with hessian=True")
        columns = (
            [problem.variable_names, problem.variable_names]
            if hessian
            else [problem.constraint_names, problem.variable_names]
        )
        i, j = (_index(given, names) for given, names in zip(where, columns, strict=True))
        entry = f"entry ({columns[0][i]}, {columns[1][j]}) of the {'Lagrangian Hessian' if hessian else 'Jacobian'}"
        if hessian:
            return _second(problem.tape, i, j, entry, (columns[0][i], columns[1][j]))
        return _first(problem.tape, i + 1, j, entry, columns[1][j])
    if len(where) != 3:
        raise ProblemError("explain(f, …) needs x and two indices: explain(f, x, i, j)")
    x: ArrayLike = where[0]
    tape = trace_function(problem, x, builder=SourceBuilder()).tape
    rows = tape.num_inputs if hessian else tape.num_outputs
    i, j = _checked(where[1], rows), _checked(where[2], tape.num_inputs)
    entry = f"entry ({i}, {j}) of the {'Hessian' if hessian else 'Jacobian'}"
    if hessian:
        return _second(tape, i, j, entry, (f"x[{i}]", f"x[{j}]"))
    return _first(tape, i, j, entry, f"x[{j}]")


def _index(given: Any, names: Any) -> int:
    if isinstance(given, str):
        names = list(names)
        if given not in names:
            raise ProblemError(f"there is no {given!r}; names are like {', '.join(map(repr, names[:3]))}")
        return int(names.index(given))
    return _checked(given, len(names))


def _checked(given: Any, size: int) -> int:
    index = int(given)
    if not -size <= index < size:
        raise ProblemError(f"index {index} is out of range for {size}")
    return index % size


def _edges(tape: Tape, flags: Array, node: int) -> list[int]:
    """Arguments that a node depends on through partials that may be nonzero."""
    code = tape.opcode[node]
    if node < tape.first_operation:
        return []
    if code in (AFFINE, BLACKBOX):
        row = tape.arg0[node]
        return [int(a) for a in tape.row_arg[tape.row_ptr[row] : tape.row_ptr[row + 1]]] if flags[node] else []
    if code == SELECT:
        first = tape.row_ptr[tape.arg0[node]]
        arguments = [(FLAG_A, tape.row_arg[first + 1]), (FLAG_B, tape.row_arg[first + 2])]
    else:
        arguments = [(FLAG_A, tape.arg0[node]), (FLAG_B, tape.arg1[node])]
    return [int(a) for bit, a in arguments if flags[node] & bit]


def _reached_from(tape: Tape, flags: Array, source: int) -> Array:
    """Nodes that depend on an input."""
    reached = np.zeros(tape.size, dtype=bool)
    reached[source] = True
    for node in range(tape.first_operation, tape.size):
        reached[node] = any(reached[a] for a in _edges(tape, flags, node))
    return reached


def _chain(tape: Tape, flags: Array, reached: Array, target: int) -> tuple[Step, ...]:
    """A chain of operations that ends at a node and begins at the input that `reached` belongs to."""
    steps = []
    node = target
    while node >= tape.first_operation:
        steps.append(_step(tape, node))
        node = next(a for a in _edges(tape, flags, node) if reached[a])
    return tuple(reversed(steps))


def _step(tape: Tape, node: int) -> Step:
    name = OPS[tape.opcode[node]].name
    if tape.opcode[node] == BLACKBOX:
        name = tape.sites[tape.arg1[node]].function.name
    return Step(node, name, tape.sources.of(node) if tape.sources is not None else "")


def _first(tape: Tape, output: int, source: int, entry: str, name: str) -> Explanation:
    tape = tape.restrict([output])
    flags = tape.edge_flags()
    reached = _reached_from(tape, flags, source)
    target = int(tape.outputs[0])
    if not reached[target]:
        raise PatternError(f"{entry} is structurally zero: nothing leads from {name} there")
    return Explanation(entry, (_chain(tape, flags, reached, target),), (name,))


def _second(tape: Tape, i: int, j: int, entry: str, names: tuple[str, str]) -> Explanation:
    flags = tape.edge_flags()
    from_i, from_j = _reached_from(tape, flags, i), _reached_from(tape, flags, j)
    live = np.zeros(tape.size, dtype=bool)
    live[tape.outputs] = True
    for node in range(tape.size - 1, tape.first_operation - 1, -1):
        if live[node]:
            live[_edges(tape, flags, node)] = True
    for node in np.flatnonzero(live & from_i & from_j).tolist():
        for a, b in _couplings(tape, flags, node):
            for first, second in ((a, b), (b, a)):
                if from_i[first] and from_j[second]:
                    chains = _chain(tape, flags, from_i, first), _chain(tape, flags, from_j, second)
                    return Explanation(entry, chains, names, _step(tape, node))
    raise PatternError(f"{entry} is structurally zero: no nonlinear operation couples {names[0]} and {names[1]}")


def _couplings(tape: Tape, flags: Array, node: int) -> list[tuple[int, int]]:
    """Pairs of arguments between which a node has a second partial that may be nonzero."""
    if node < tape.first_operation or tape.opcode[node] in (AFFINE, SELECT):
        return []
    if tape.opcode[node] == BLACKBOX:
        site = tape.sites[tape.arg1[node]]
        pairs = zip(site.args[site.function.hessian_rows], site.args[site.function.hessian_cols], strict=True)
        return [(int(a), int(b)) for a, b in pairs]
    a, b = int(tape.arg0[node]), int(tape.arg1[node])
    return [pair for bit, pair in ((FLAG_AA, (a, a)), (FLAG_AB, (a, b)), (FLAG_BB, (b, b))) if flags[node] & bit]
