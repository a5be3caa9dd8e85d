"""A slow, plain interpreter of tapes: one node at a time in NumPy, independent of the Numba sweeps.

Values, dense first derivatives and the global Jacobian pattern, for comparison with what the package computes.
"""

from __future__ import annotations

import numpy as np

from sct_opt.ops import AFFINE, BLACKBOX, CONSTANT, INPUT, OPS, PARAMETER, SELECT, array_function


def node_values(tape, x, parameters=None):
    x = np.asarray(x, dtype=float).ravel()
    values = np.zeros(tape.size)
    values[: tape.num_inputs] = x
    first = tape.num_inputs + tape.num_parameters
    values[tape.num_inputs : first] = tape.parameters if parameters is None else parameters
    values[first : tape.first_operation] = tape.constants
    with np.errstate(all="ignore"):
        for i in range(tape.first_operation, tape.size):
            code = tape.opcode[i]
            a, b = tape.arg0[i], tape.arg1[i]
            if code == AFFINE:
                terms = slice(tape.row_ptr[a], tape.row_ptr[a + 1])
                values[i] = tape.row_const[a] + tape.row_coef[terms] @ values[tape.row_arg[terms]]
            elif code == SELECT:
                c, t, e = tape.row_arg[tape.row_ptr[a] : tape.row_ptr[a + 1]]
                values[i] = values[t] if values[c] != 0.0 else values[e]
            elif code == BLACKBOX:
                site = tape.sites[b]
                values[i] = np.ravel(site.function.value(values[site.args]))[i - site.first]
            else:
                op = OPS[code]
                values[i] = op.evaluate(values[a]) if op.arity == 1 else op.evaluate(values[a], values[b])
    return values


def evaluate(tape, x, parameters=None):
    return node_values(tape, x, parameters)[tape.outputs]


def jacobian(tape, x, parameters=None):
    """Dense forward mode from the table's partials."""
    values = node_values(tape, x, parameters)
    tangent = np.zeros((tape.size, tape.num_inputs))
    tangent[np.arange(tape.num_inputs), np.arange(tape.num_inputs)] = 1.0
    for i in range(tape.first_operation, tape.size):
        code = tape.opcode[i]
        a, b = tape.arg0[i], tape.arg1[i]
        if code == AFFINE:
            terms = slice(tape.row_ptr[a], tape.row_ptr[a + 1])
            tangent[i] = tape.row_coef[terms] @ tangent[tape.row_arg[terms]]
        elif code == SELECT:
            c, t, e = tape.row_arg[tape.row_ptr[a] : tape.row_ptr[a + 1]]
            tangent[i] = tangent[t] if values[c] != 0.0 else tangent[e]
        elif code == BLACKBOX:
            site = tape.sites[b]
            f = site.function
            rows = f.jacobian_rows == i - site.first
            partials = np.asarray(f.jacobian(values[site.args]))[rows]
            tangent[i] = partials @ tangent[site.args[f.jacobian_cols[rows]]]
        else:
            op = OPS[code]
            args = (values[a],) if op.arity == 1 else (values[a], values[b])
            for node, partial in zip((a, b), op.d, strict=False):
                if partial is not None and tangent[node].any():
                    tangent[i] += array_function(partial, op.arity)(*args, values[i]) * tangent[node]
    return tangent[tape.outputs]


def jacobian_pattern(tape):
    """Boolean matrix of what may depend on what, from the structural zeros of the table alone."""
    reach = np.zeros((tape.size, tape.num_inputs), dtype=bool)
    reach[np.arange(tape.num_inputs), np.arange(tape.num_inputs)] = True
    for i in range(tape.first_operation, tape.size):
        code = tape.opcode[i]
        a, b = tape.arg0[i], tape.arg1[i]
        if code in (AFFINE, BLACKBOX):
            reach[i] = reach[tape.row_arg[tape.row_ptr[a] : tape.row_ptr[a + 1]]].any(axis=0)
        elif code == SELECT:
            reach[i] = reach[tape.row_arg[tape.row_ptr[a] + 1 : tape.row_ptr[a + 1]]].any(axis=0)
        elif code not in (INPUT, PARAMETER, CONSTANT):
            for node, partial in zip((a, b), OPS[code].d, strict=False):
                if partial is not None:
                    reach[i] |= reach[node]
    return reach[tape.outputs]


def numeric_jacobian(f, x, step=1e-6):
    """Central differences of a plain NumPy function."""
    x = np.asarray(x, dtype=float)
    columns = []
    for k in range(x.size):
        up, down = x.copy(), x.copy()
        up.flat[k] += step
        down.flat[k] -= step
        columns.append((flatten(f(up)) - flatten(f(down))) / (2 * step))
    return np.stack(columns, axis=-1) if columns else np.zeros((flatten(f(x)).size, 0))


def flatten(result):
    """What a function returned as one flat float array, in the order that tracing promises."""
    if isinstance(result, (list, tuple)):
        return np.concatenate([flatten(part) for part in result]) if result else np.zeros(0)
    return np.asarray(result, dtype=float).ravel()
