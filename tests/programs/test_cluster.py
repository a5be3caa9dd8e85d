"""Programs found in problems whose structure is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from sct_opt.ops import AFFINE, CONSTANT, INPUT, OPCODE, OPS
from sct_opt.programs.cluster import Program, discover
from sct_opt.tape import Tape, TapeBuilder
from tests.programs.problems import cart_pole, diffusion, luksan_vlcek, luksan_vlcek_loop
from tests.random_tapes import evaluate


def shapes(tape: Tape) -> list[tuple[int, int, int]]:
    return [(p.instances, p.inputs.shape[0], len(p.roots)) for p in discover(tape).programs]


def test_luksan_vlcek_is_two_programs() -> None:
    assert shapes(luksan_vlcek(100)[0]) == [(99, 2, 1), (98, 3, 1)]


def test_scalar_loops_give_the_programs_of_array_code() -> None:
    assert shapes(luksan_vlcek_loop(100)[0]) == shapes(luksan_vlcek(100)[0])


def test_rows_that_share_a_reaction_are_one_program() -> None:
    assert shapes(diffusion(12)[0]) == [(144, 10, 2)]


def test_trapezoids_share_the_dynamics_of_a_point() -> None:
    found = discover(cart_pole(50)[0])
    both = [p for p in found.programs if len(p.roots) == 2]
    assert [(p.instances, p.inputs.shape[0]) for p in both] == [(51, 3)]


def test_hermite_simpson_merges_the_rows_of_an_interval() -> None:
    found = discover(cart_pole(50, free_time=True, hermite_simpson=True)[0])
    assert (50, 4) in [(p.instances, len(p.roots)) for p in found.programs]
    assert found.total_nodes < 2 * found.tape.size


def test_equal_indices_make_another_program() -> None:
    builder = TapeBuilder()
    x = builder.inputs(40)
    left, right = x[:-1].copy(), x[1:].copy()
    right[7] = left[7]
    found = discover(builder.freeze(builder.binary(OPCODE["atan2"], left, right)))
    assert [p.instances for p in found.programs] == [38, 1]


def test_sharing_inside_an_instance_makes_another_program() -> None:
    builder = TapeBuilder()
    x = builder.inputs(24)
    rows = []
    for i in range(12):
        first = builder.emit1(OPCODE["sin"], int(x[i]))
        second = first if i % 3 == 2 else builder.emit1(OPCODE["sin"], int(x[i + 12]))
        rows.append(builder.emit2(OPCODE["hypot"], first, second))
    found = discover(builder.freeze(rows))
    assert sorted(p.instances for p in found.programs) == [4, 8]


@pytest.mark.parametrize(
    "problem", [luksan_vlcek(40), cart_pole(12), cart_pole(12, hermite_simpson=True), diffusion(5)]
)
def test_instances_evaluate_to_the_outputs(problem: tuple[Tape, np.ndarray]) -> None:
    tape, x = problem
    found = discover(tape)
    out = found.split.constant.copy()
    np.add.at(out, found.split.linear_row, found.split.linear_coef * x[found.split.linear_input])
    for program in found.programs:
        for k in range(program.instances):
            values = instance_values(program, k, x)
            for root, rows, coefs in targets(program, k):
                there = rows < tape.num_outputs
                np.add.at(out, rows[there], coefs[there] * values[root])
    assert found.leftover.size == 0
    np.testing.assert_allclose(out, evaluate(tape, x)[tape.outputs], rtol=1e-12, atol=1e-13)


def instance_values(program: Program, k: int, x: np.ndarray) -> list[float]:
    values: list[float] = []
    for node in program.nodes:
        args = [values[a] for a in node.args]
        if node.code == INPUT:
            values.append(x[program.inputs[node.column, k]])
        elif node.code == CONSTANT:
            values.append(program.numbers[node.column, k])
        elif node.code == AFFINE:
            *coefs, constant = program.numbers[node.column : node.column + len(args) + 1, k]
            values.append(constant + float(np.dot(coefs, args)))
        else:
            values.append(float(OPS[node.code].evaluate(*map(np.float64, args))))
    return values


def targets(program: Program, k: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    first = 0
    for root, width in zip(program.roots, program.widths, strict=True):
        yield root, program.target_row[first : first + width, k], program.target_coef[first : first + width, k]
        first += width


def test_black_boxes_and_huge_terms_are_left_over() -> None:
    builder = TapeBuilder()
    x = builder.inputs(700)
    total = builder.affine(np.array([700]), builder.unary(OPCODE["square"], x), np.ones(700), np.zeros(1))
    norm = builder.unary(OPCODE["sqrt"], total)
    found = discover(builder.freeze(np.concatenate([norm, builder.unary(OPCODE["sin"], x)])))
    assert found.leftover.size == 1
    assert [p.instances for p in found.programs] == [700]
