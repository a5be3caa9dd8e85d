"""Pyomo expressions read as structures and leaves.

An expression is walked once, iteratively, and split in two: its *structure*, a tuple of tokens in prefix order, and
its *leaves*, the numbers, variables, parameters and shared subexpressions in that order.  Expressions of one
constraint rule nearly always have one structure, so that the tape is emitted per structure with NumPy
(`sct_opt.adapters.pyomo.emission`); that two expressions are alike is verified by comparing all of their tokens.

Named Expressions, and the nonlinear terms of long sums, are *items* of their own: they are walked once and referred
to by number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyomo.common.numeric_types import native_logical_types, native_numeric_types, native_types
from pyomo.core.base.var import VarData
from pyomo.core.expr import logical_expr, numeric_expr, relational_expr
from pyomo.core.expr.base import ExpressionBase
from pyomo.core.expr.numvalue import NonNumericValue, NumericConstant, value
from pyomo.core.expr.template_expr import resolve_template

from sct_opt.adapters.pyomo.external import ExternalCall
from sct_opt.adapters.pyomo.matcher import LEAF, LONG_SUM, MONOMIAL, NUMBER, SUM_OF_TERMS, UNARY_FUNCTION, Hint
from sct_opt.errors import ModelError, UnsupportedOperatorError
from sct_opt.ops import OPCODE

# A token holds its kind in the low byte; an operator's opcode, a number of arguments or an index above it.
(
    VAR,
    PARAM,
    REF,
    NUM,
    MONOMIAL_VAR,
    MONOMIAL_PARAM,
    SUM,
    NEG,
    MUL,
    DIV,
    SUB,
    POW,
    UNARY,
    BINARY,
    NARY,
    SELECT,
    RANGE,
    CALL,
) = range(18)
KIND_BITS, KIND_MASK = 8, 255
NARY_BITS = 16
# A leaf code holds the number of the variable, parameter or item above the kind of leaf (VAR, PARAM or REF).
LEAF_BITS, LEAF_MASK = 2, 3

_LEAF, _NUMBER, _MONOMIAL, _SUM, _UNARY = LEAF, NUMBER, MONOMIAL, SUM_OF_TERMS, UNARY_FUNCTION
_OTHER, _REF = -6, -7


def _nary(name: str, count: int) -> int:
    return NARY | OPCODE[name] << KIND_BITS | count << NARY_BITS


def _binary(name: str) -> int:
    return BINARY | OPCODE[name] << KIND_BITS


class _ItemReference:
    """A term of a long sum that has become an item."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


class _Tokens(dict[type, int]):
    """The token, or the special treatment, of each class of expression node."""

    def __init__(self) -> None:
        super().__init__()
        fixed = {
            "NegationExpression": NEG,
            "ProductExpression": MUL,
            "DivisionExpression": DIV,
            "PowExpression": POW,
            "Expr_ifExpression": SELECT,
            "AbsExpression": UNARY | OPCODE["abs"] << KIND_BITS,
            "MonomialTermExpression": _MONOMIAL,
            "SumExpression": _SUM,
            "UnaryFunctionExpression": _UNARY,
        }
        for name, token in fixed.items():
            for full in (name, f"NPV_{name}"):
                if hasattr(numeric_expr, full):
                    self[getattr(numeric_expr, full)] = token
        self[numeric_expr.LinearExpression] = _SUM
        self[relational_expr.EqualityExpression] = _binary("eq")
        self[relational_expr.NotEqualExpression] = _binary("ne")
        self[logical_expr.NotExpression] = UNARY | OPCODE["logical_not"] << KIND_BITS
        self[logical_expr.XorExpression] = _binary("logical_xor")
        self[float] = self[int] = self[bool] = _NUMBER
        self[_ItemReference] = _REF

    def __missing__(self, cls: type) -> int:
        self[cls] = token = self._classify(cls)
        return token

    def _classify(self, cls: type) -> int:
        if cls in native_numeric_types or cls in native_logical_types:
            return _NUMBER
        for base in cls.__mro__[1:]:
            if base in self:
                return self[base]
        return _LEAF if hasattr(cls, "is_variable_type") and not issubclass(cls, ExpressionBase) else _OTHER


_TOKENS = _Tokens()


class Structure:
    """All items with one sequence of tokens.

    Attributes:
        tokens: the structure, in prefix order with the last argument first.
        items: number of each item.
        leaves: leaf codes of all items, one after the other.
        numbers: numbers of all items, one after the other.
    """

    __slots__ = ("items", "leaves", "numbers", "tokens")

    def __init__(self, tokens: tuple[int, ...]) -> None:
        self.tokens = tokens
        self.items: list[int] = []
        self.leaves: list[int] = []
        self.numbers: list[float] = []


class Reader:
    """Reads expressions into structures and leaves.

    Args:
        free: ids of variables that stay variables though they are fixed now.

    Attributes:
        variables: variables in the order in which they were met.
        parameters: fixed variables and mutable parameters in that order.
        owners: per item the component that it came from, for messages.
        structures: all structures by their tokens.
        calls: external functions by the index in their tokens.
    """

    def __init__(self, free: Iterable[int] = ()) -> None:
        self.free = frozenset(free)
        self.variables: list[Any] = []
        self.parameters: list[Any] = []
        self.owners: list[Any] = []
        self.structures: dict[tuple[int, ...], Structure] = {}
        self.calls: list[ExternalCall] = []
        self._call_index: dict[Any, int] = {}
        self._leaf: dict[int, int] = {}
        self._shared: list[Any] = []
        self._pending: list[tuple[int, list[Any], Hint]] = []
        self._hints: dict[str, Hint] = {}

    def item(self, expression: Any, owner: Any, hint: Hint | None = None) -> int:
        """Announce an expression and return its item number; `read` walks it.

        Args:
            expression: the expression.
            owner: the component that it comes from.
            hint: shared by expressions that are probably alike.
        """
        number = len(self.owners)
        self.owners.append(owner)
        self._pending.append((number, [expression], hint or self._hint(owner)))
        return number

    def constraint(self, left: Any, right: Any, owner: Any, hint: Hint) -> int:
        """Read the expression ``left``, or ``left - right`` without building it, and return its item number."""
        number = len(self.owners)
        self.owners.append(owner)
        self._match(number, [left] if right is None else [left, right], hint)
        return number

    def leaf(self, variable: Any, owner: Any) -> int:
        """The code of a variable: its number among the variables or parameters above its kind.

        Args:
            variable: a Var data object.
            owner: the component that uses it.
        """
        code = self._leaf.get(id(variable))
        if code is None:
            number = len(self.owners)
            self.owners.append(owner)
            code = self._register(variable, number)
            self.owners.pop()
        assert code is not None
        return code

    def read(self) -> None:
        """Walk all announced expressions and those that they refer to."""
        pending = self._pending
        while pending:
            self._match(*pending.pop())

    def _hint(self, owner: Any) -> Hint:
        # Components of one name, on whatever blocks, mostly come from one rule.
        return self._hints.setdefault(owner.parent_component().local_name, Hint())

    def _match(self, number: int, roots: list[Any], hint: Hint) -> None:
        for matcher in hint.matchers:
            if matcher.num_roots == len(roots) and matcher.match(number, self._leaf.get, self._new_leaf, *roots):
                return
        structure = self._read(number, roots.copy(), [SUB] if len(roots) > 1 else [])
        if hint.count(structure):
            hint.compile(roots, structure, _TOKENS, self._leaf)

    def _read(self, number: int, stack: list[Any], tokens: list[int]) -> Structure:
        leaves: list[int] = []
        numbers: list[float] = []
        table = _TOKENS
        leaf = self._leaf.get
        pop = stack.pop
        token = tokens.append
        while stack:
            node = pop()
            kind = table[node.__class__]
            if kind >= 0:
                token(kind)
                stack.extend(node._args_)
            elif kind == _LEAF:
                code = leaf(id(node))
                if code is None:
                    code = self._register(node, number)
                    if code is None:
                        token(NUM)
                        numbers.append(self._constant(node, number))
                        continue
                token(code & LEAF_MASK)
                leaves.append(code)
            elif kind == _NUMBER:
                token(NUM)
                numbers.append(node)
            elif kind == _MONOMIAL:
                factor, variable = node._args_
                code = leaf(id(variable))
                if code is not None and table[factor.__class__] == _NUMBER:
                    token(MONOMIAL_VAR + (code & LEAF_MASK))
                    numbers.append(factor)
                    leaves.append(code)
                else:
                    token(MUL)
                    stack.extend(node._args_)
            elif kind == _SUM:
                args = node._args_
                count = node._nargs
                if len(args) != count:
                    args = args[:count]
                token(SUM | count << KIND_BITS)
                stack.extend(args if count <= LONG_SUM else self._split(args, number))
            elif kind == _UNARY:
                try:
                    token(UNARY | OPCODE[node._name] << KIND_BITS)
                except KeyError:
                    raise self._unsupported(f"function {node._name!r}", number) from None
                stack.extend(node._args_)
            elif kind == _REF:
                token(REF)
                leaves.append(node.code)
            else:
                self._other(node, number, stack, tokens, numbers)
        key = tuple(tokens)
        structure = self.structures.get(key)
        if structure is None:
            structure = self.structures[key] = Structure(key)
        structure.items.append(number)
        structure.leaves += leaves
        structure.numbers += numbers
        return structure

    def _split(self, args: list[Any], number: int) -> list[Any]:
        """The terms of a long sum, nonlinear ones replaced by items."""
        table = _TOKENS
        owner = self.owners[number]
        hint = Hint()
        return [
            arg
            if table[arg.__class__] in (_LEAF, _NUMBER, _MONOMIAL)
            else _ItemReference(self.item(arg, owner, hint) << LEAF_BITS | REF)
            for arg in args
        ]

    # -- leaves ------------------------------------------------------------------------------------------------------

    def _new_leaf(self, node: Any, number: int) -> int | None:
        """The code of a leaf met for the first time; None for a constant, or if it is no leaf at all."""
        return self._register(node, number) if _TOKENS[node.__class__] == _LEAF else None

    def _register(self, node: Any, number: int) -> int | None:
        """The code of a leaf met for the first time; None for a constant."""
        if isinstance(node, VarData):
            if node.fixed and id(node) not in self.free:
                if node.value is None:
                    raise ModelError(
                        f"{self._where(number)} uses variable {node.name!r}, which is fixed but has no value; fix it to a number or unfix it"
                    )
                code = len(self.parameters) << LEAF_BITS | PARAM
                self.parameters.append(node)
            else:
                code = len(self.variables) << LEAF_BITS | VAR
                self.variables.append(node)
        elif node.is_named_expression_type():
            (expression,) = node.args
            if expression is None:
                raise ModelError(
                    f"{self._where(number)} uses Expression {node.name!r}, which has no value; give it one with set_value(...)"
                )
            self._shared.append(node)
            code = self.item(expression, node) << LEAF_BITS | REF
        elif node.is_variable_type():
            raise ModelError(
                f"{self._where(number)} uses the logical variable {node.name!r}; apply TransformationFactory('core.logical_to_linear') and relax the result"
            )
        elif node.is_parameter_type() and not node.is_constant():
            code = len(self.parameters) << LEAF_BITS | PARAM
            self.parameters.append(node)
        else:
            return None
        self._leaf[id(node)] = code
        return code

    def _constant(self, node: Any, number: int) -> float:
        try:
            result = value(node)
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{self._where(number)} uses {getattr(node, 'name', node)!r}, which has no value: {error}"
            ) from error
        if isinstance(result, complex) or result is None:
            raise ModelError(
                f"{self._where(number)} uses {getattr(node, 'name', node)!r} with the value {result!r}; only real numbers can be solved for"
            )
        return float(result)

    # -- everything else -----------------------------------------------------------------------------------------------

    def _other(self, node: Any, number: int, stack: list[Any], tokens: list[int], numbers: list[float]) -> None:
        if isinstance(node, relational_expr.InequalityExpression):
            tokens.append(_binary("lt" if node._strict else "le"))
            stack.extend(node._args_)
        elif isinstance(node, relational_expr.RangedExpression):
            first, second = node._strict if isinstance(node._strict, tuple) else (node._strict, node._strict)
            tokens.append(RANGE | (2 * bool(first) + bool(second)) << KIND_BITS)
            stack.extend(node._args_)
        elif isinstance(node, numeric_expr.MaxExpression | numeric_expr.MinExpression):
            tokens.append(_nary("max" if isinstance(node, numeric_expr.MaxExpression) else "min", len(node.args)))
            stack.extend(node.args)
        elif isinstance(node, logical_expr.AndExpression | logical_expr.OrExpression):
            tokens.append(
                _nary("logical_and" if isinstance(node, logical_expr.AndExpression) else "logical_or", node.nargs())
            )
            stack.extend(node.args)
        elif isinstance(node, logical_expr.EquivalenceExpression):
            tokens += (UNARY | OPCODE["logical_not"] << KIND_BITS, _binary("logical_xor"))
            stack.extend(node.args)
        elif isinstance(node, logical_expr.ImplicationExpression):
            premise, conclusion = node.args
            tokens.append(_nary("logical_or", 2))
            stack.extend((logical_expr.NotExpression((premise,)), conclusion))
        elif isinstance(node, numeric_expr.ExternalFunctionExpression):
            self._external(node, stack, tokens)
        elif hasattr(node, "_resolve_template"):
            stack.append(self._resolved(node, number))
        elif isinstance(node, NumericConstant) or self._is_unit(node):
            tokens.append(NUM)
            numbers.append(self._constant(node, number))
        elif isinstance(node, complex):
            raise ModelError(
                f"{self._where(number)} contains the complex number {node}; only real numbers can be solved for"
            )
        elif node.__class__ in native_types or node is None or not hasattr(node, "is_expression_type"):
            raise ModelError(f"{self._where(number)} contains {node!r} where a number or an expression is needed")
        elif not node.is_expression_type() and getattr(node, "is_indexed", bool)():
            raise ModelError(f"{self._where(number)} contains the whole indexed component {node.name!r}; give an index")
        else:
            raise self._unsupported(type(node).__name__, number)

    @staticmethod
    def _is_unit(node: Any) -> bool:
        # A unit counts as the number 1, as in the NL writer: the solver sees magnitudes only.
        return hasattr(node, "_get_pint_unit")

    def _external(self, node: Any, stack: list[Any], tokens: list[int]) -> None:
        constants: dict[int, Any] = {}
        numeric = []
        for position, arg in enumerate(node._args_):
            if isinstance(arg, (NonNumericValue | NumericConstant, str)):
                constants[position] = value(arg) if not isinstance(arg, str) else arg
            else:
                numeric.append(arg)
        key = (id(node._fcn), tuple(sorted(constants.items())), len(numeric))
        index = self._call_index.get(key)
        if index is None:
            index = self._call_index[key] = len(self.calls)
            self.calls.append(ExternalCall(node._fcn, constants, len(node._args_)))
        tokens.append(CALL | index << KIND_BITS)
        stack.extend(numeric)

    def _resolved(self, node: Any, number: int) -> Any:
        try:
            return resolve_template(node)
        except Exception as error:
            raise ModelError(
                f"{self._where(number)} contains {node}, whose indices cannot be resolved: {error}; index with plain values"
            ) from error

    # -- messages --------------------------------------------------------------------------------------------------------

    def _where(self, number: int) -> str:
        return describe(self.owners[number])

    def _unsupported(self, what: str, number: int) -> UnsupportedOperatorError:
        return UnsupportedOperatorError(
            f"{self._where(number)} contains {what}, which has no row in the operator table; reformulate it, or add a row to sct_opt/ops.py (see docs/add-an-operator.md)"
        )


def describe(component: Any) -> str:
    """The kind and name of a component as messages give them, for example ``Constraint 'c[3]'``."""
    ctype = getattr(component, "ctype", None)
    return f"{getattr(ctype, '__name__', type(component).__name__)} {component.name!r}"
