"""Readers for one structure each, compiled from an example.

A constraint rule makes thousands of expressions of one structure.  Once a structure has shown up often, a Python function is
written for it that checks, node by node and without a loop, whether an expression has this structure, and takes out its
leaves.  Nothing is assumed: an expression that differs anywhere is refused, and read the general way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# How the classes of nodes that need more than their token are read; tokens themselves are not negative.
LEAF, NUMBER, MONOMIAL, SUM_OF_TERMS, UNARY_FUNCTION = -1, -2, -3, -4, -5
# Sums with more terms than this have their nonlinear terms read as items of their own: the terms of a long sum are
# usually alike.
LONG_SUM = 12
# Structures are compiled when they have shown up this often: compiling one costs as much as reading some hundreds.
OFTEN = 128
# The largest structure that is compiled, in tokens, and the most that are tried for one source of expressions.
_LONGEST, _MOST = 400, 8


@dataclass(frozen=True, slots=True)
class Matcher:
    """Reads expressions of one structure.

    Attributes:
        num_roots: 1 for an expression, 2 for the difference of two.
        match: ``match(number, leaf, register, *roots)`` adds the leaves of an item to the structure, or refuses and returns False.
    """

    num_roots: int
    match: Callable[..., bool]


class Hint:
    """What expressions from one source, such as a constraint rule or a long sum, have looked like so far."""

    __slots__ = ("_seen", "matchers")

    def __init__(self) -> None:
        self.matchers: list[Matcher] = []
        self._seen: dict[int, int] = {}

    def count(self, structure: Any) -> bool:
        """Count one more expression of a structure; whether now is the time to compile it."""
        seen = self._seen[id(structure)] = self._seen.get(id(structure), 0) + 1
        return seen == OFTEN and len(structure.tokens) <= _LONGEST and len(self.matchers) < _MOST

    def compile(self, roots: list[Any], structure: Any, table: Mapping[type, int], codes: Mapping[int, int]) -> None:
        """Write a matcher for a structure, if it has nothing in it that is read by special rules.

        Args:
            roots: an example: its expression, or the two that are subtracted.
            structure: the example's structure.
            table: token or treatment of each class.
            codes: code of each leaf by its id.
        """
        match = _written(roots, structure, table, codes)
        if match is not None:
            self.matchers.append(Matcher(len(roots), match))


class _Writer:
    """Writes the source of a matcher while walking the example in the order in which the general reader walks."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.leaves: list[str] = []
        self.numbers: list[str] = []
        self.namespace: dict[str, Any] = {}
        self._count = 0

    def name(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}"

    def check_class(self, node: str, cls: type) -> None:
        constant = f"C_{cls.__name__}"
        if self.namespace.setdefault(constant, cls) is not cls:
            constant = self.name("C")
            self.namespace[constant] = cls
        self.lines.append(f"if {node}.__class__ is not {constant}: return False")

    def unpack(self, node: str, args: Any, is_sum: bool) -> list[tuple[str, Any]]:
        children = [(self.name("n"), arg) for arg in args]
        source = f"{node}._args_"
        if is_sum:
            self.lines += [f"if {node}._nargs != {len(children)}: return False", f"a = {source}"]
            self.lines.append(f"if len(a) != {len(children)}: a = a[:{len(children)}]")
            source = "a"
        self.lines.append(f"{', '.join(name for name, _ in children)}, = {source}")
        return children

    def leaf(self, node: str, kind: int) -> None:
        code = self.name("c")
        self.lines += [
            f"{code} = leaf(id({node}))",
            f"if {code} is None:",
            f"    {code} = register({node}, number)",
            f"    if {code} is None: return False",
            f"if {code} & 3 != {kind}: return False",
        ]
        self.leaves.append(code)

    def number(self, node: str) -> None:
        self.lines.append(f"if {node}.__class__ not in NUMBERS: return False")
        self.numbers.append(node)


def _written(
    roots: list[Any], structure: Any, table: Mapping[type, int], codes: Mapping[int, int]
) -> Callable[..., bool] | None:
    writer = _Writer()
    names = [f"root{k}" for k in range(len(roots))]
    stack = list(zip(names, roots, strict=True))
    while stack:
        name, node = stack.pop()
        kind = table[node.__class__]
        if kind == LEAF:
            if id(node) not in codes:
                return None
            writer.leaf(name, codes[id(node)] & 3)
        elif kind == NUMBER:
            writer.number(name)
        elif kind >= 0 or kind in (MONOMIAL, SUM_OF_TERMS, UNARY_FUNCTION):
            writer.check_class(name, node.__class__)
            if kind == UNARY_FUNCTION:
                writer.lines.append(f"if {name}._name != {node._name!r}: return False")
            is_sum = kind == SUM_OF_TERMS
            args = node._args_[: node._nargs] if is_sum else node._args_
            if is_sum and len(args) > LONG_SUM:
                return None
            stack += writer.unpack(name, args, is_sum)
        else:
            return None
    body = [
        *writer.lines,
        "items(number)",
        *([f"leaves(({', '.join(writer.leaves)},))"] if writer.leaves else []),
        *([f"numbers(({', '.join(writer.numbers)},))"] if writer.numbers else []),
        "return True",
    ]
    source = f"def match(number, leaf, register, {', '.join(names)}):\n" + "\n".join("    " + line for line in body)
    namespace = writer.namespace | {
        "NUMBERS": (float, int),
        "items": structure.items.append,
        "leaves": structure.leaves.extend,
        "numbers": structure.numbers.extend,
    }
    exec(compile(source, "<matcher of a Pyomo expression>", "exec"), namespace)
    match: Callable[..., bool] = namespace["match"]
    return match
