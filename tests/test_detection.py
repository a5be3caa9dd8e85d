"""Detection: exact expectations, a set-propagating oracle, numerical nonzeros, and cost counted as work."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sct_opt import detection
from sct_opt.detection import (
    TracerLocalSparsityDetector,
    TracerSparsityDetector,
    hessian_pattern,
    jacobian_pattern,
    local_flags,
)
from sct_opt.errors import PatternError, ShapeError, TracingError
from sct_opt.ops import AFFINE, BLACKBOX, OPCODE, OPS, SELECT, array_function
from sct_opt.tape import Tape, TapeBuilder
from tests.random_tapes import Program, Surface, derivatives, evaluate, node_args, programs

MASKINGS = ("sct", "piecewise", "all")


class Oracle:
    """Index sets and index pairs of every node, carried forward in Python sets: no adjoints, no shared sets."""

    def __init__(self, tape: Tape, x: np.ndarray | None = None, masking: str | None = None) -> None:
        self.tape = tape
        self.values = None if x is None else evaluate(tape, x)
        self.masking = masking
        self.gradient = [{j} for j in range(tape.num_inputs)]
        self.hessian: list[set[tuple[int, int]]] = [set() for _ in range(tape.num_inputs)]
        for i in range(tape.num_inputs, tape.size):
            first, pairs = self.edges(i)
            self.gradient.append(set().union(*(self.gradient[a] for a in first)))
            couplings = set().union(*(self.hessian[a] for a in first))
            for a, b in pairs:
                couplings |= set(itertools.product(self.gradient[a], self.gradient[b]))
                couplings |= set(itertools.product(self.gradient[b], self.gradient[a]))
            self.hessian.append(couplings)

    def edges(self, i: int) -> tuple[list[int], list[tuple[int, int]]]:
        """Arguments with a first partial, and pairs of arguments with a second partial."""
        tape, code, args = self.tape, self.tape.opcode[i], node_args(self.tape, i)
        if code == AFFINE or not args:
            return args, []
        if code == SELECT:
            if self.values is None:
                return args[1:], []
            return [args[1] if self.values[args[0]] != 0.0 else args[2]], []
        if code == BLACKBOX:
            site = tape.sites[tape.arg1[i]]
            depends = any(self.gradient[a] or self.hessian[a] for a in args)
            rows, cols = site.args[site.function.hessian_rows], site.args[site.function.hessian_cols]
            return args, list(zip(rows.tolist(), cols.tolist(), strict=True)) if depends else []
        op = OPS[code]
        which = [(0, 0)] if op.arity == 1 else [(0, 0), (0, 1), (1, 1)]
        first = [a for k, a in enumerate(args) if op.d[k] is not None and self.kept(i, k, op.d[k])]
        pairs = [
            (args[k], args[l])
            for (k, l), text in zip(which, op.dd, strict=True)
            if text is not None and self.kept(i, None, text)
        ]
        return first, pairs

    def kept(self, i: int, k: int | None, partial: str) -> bool:
        """Whether masking leaves the first partial by argument ``k``, or a second partial (``k`` is None)."""
        if self.values is None:
            return True
        op = OPS[self.tape.opcode[i]]
        args = (*self.values[node_args(self.tape, i)], self.values[i])
        conditions = []
        if k is not None and op.piecewise:
            conditions.append(op.piecewise[k])
        if k is not None and op.factor and self.masking == "sct":
            conditions.append(op.factor[k])
        if any(text and not array_function(text, op.arity)(*args) for text in conditions):
            return False
        return self.masking != "all" or array_function(partial, op.arity)(*args) != 0.0

    def jacobian_array(self) -> np.ndarray:
        out = np.zeros((self.tape.num_outputs, self.tape.num_inputs), dtype=bool)
        for row, i in zip(out, self.tape.outputs, strict=True):
            row[list(self.gradient[i])] = True
        return out

    def hessian_array(self) -> np.ndarray:
        out = np.zeros((self.tape.num_inputs, self.tape.num_inputs), dtype=bool)
        for i in self.tape.outputs:
            for j, k in self.hessian[i]:
                out[j, k] = True
        return out


def emit(builder: TapeBuilder, name: str, *args: int) -> int:
    return builder.emit1(OPCODE[name], *args) if len(args) == 1 else builder.emit2(OPCODE[name], *args)


def total(builder: TapeBuilder, ids: np.ndarray) -> np.ndarray:
    """The sum of nodes as one affine node."""
    return builder.affine(np.array([ids.size]), ids, np.ones(ids.size), np.zeros(1))


def rows(pattern: detection.SparsityPattern) -> str:
    """A pattern in the notation of the reference tables: ``100;110``."""
    return ";".join("".join(map(str, row)) for row in pattern.toarray().astype(int).tolist())


def work(tape: Tape, which: str) -> int:
    """Steps that detection takes: visits of nodes and entries of sets looked at."""
    with pytest.MonkeyPatch.context() as patch:
        counted = []
        from sct_opt import detection_kernels as kernels

        reach, unite = kernels.reach, kernels.unite

        def counting_reach(*args):
            result = reach(*args)
            counted.append(result[3])
            return result

        def counting_unite(row_ptr, row_set, set_start, *args):
            counted.append(int(np.diff(set_start)[row_set].sum()))
            return unite(row_ptr, row_set, set_start, *args)

        patch.setattr(kernels, "reach", counting_reach)
        patch.setattr(kernels, "unite", counting_unite)
        (jacobian_pattern if which == "jacobian" else hessian_pattern)(tape)
    return sum(counted)


# -- random programs ---------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(programs())
def test_global_patterns_are_those_of_the_oracle(program: Program) -> None:
    oracle = Oracle(program.tape)
    np.testing.assert_array_equal(jacobian_pattern(program.tape).toarray(), oracle.jacobian_array())
    np.testing.assert_array_equal(hessian_pattern(program.tape).toarray(), oracle.hessian_array())


@pytest.mark.parametrize("masking", MASKINGS)
@settings(max_examples=200, deadline=None)
@given(program=programs())
def test_local_patterns_are_those_of_the_oracle(masking: str, program: Program) -> None:
    oracle = Oracle(program.tape, program.x, masking)
    flags = local_flags(program.tape, oracle.values, masking)
    np.testing.assert_array_equal(jacobian_pattern(program.tape, flags).toarray(), oracle.jacobian_array())
    np.testing.assert_array_equal(hessian_pattern(program.tape, flags).toarray(), oracle.hessian_array())


@settings(max_examples=300, deadline=None)
@given(programs())
def test_no_numerical_nonzero_is_missed(program: Program) -> None:
    tape, x = program.tape, program.x
    _, jacobian, hessians = derivatives(tape, x)
    values = evaluate(tape, x)
    whole = (jacobian_pattern(tape).toarray(), hessian_pattern(tape).toarray())
    for flags in (None, *(local_flags(tape, values, masking) for masking in MASKINGS)):
        jacobian_found = jacobian_pattern(tape, flags).toarray()
        hessian_found = hessian_pattern(tape, flags).toarray()
        assert not jacobian[~jacobian_found].any()
        assert not hessians[:, ~hessian_found].any()
        assert (hessian_found == hessian_found.T).all()
        assert not (jacobian_found & ~whole[0]).any()
        assert not (hessian_found & ~whole[1]).any()
