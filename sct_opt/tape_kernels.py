"""Numba kernels of the tape: dead-node elimination and renumbering."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from sct_opt.ops import AFFINE, BLACKBOX, CONSTANT, FLAG_A, FLAG_AA, FLAG_AB, FLAG_B, FLAG_BB, INPUT, OPS, PARAMETER, SELECT

Array = np.ndarray[Any, Any]

ARITY = np.array([op.arity for op in OPS], dtype=np.int8)


@njit(cache=True, nogil=True)
def mark_live(
    opcode: Array, arg0: Array, arg1: Array, row_ptr: Array, row_arg: Array, site_ptr: Array, site_arg: Array, site_block: Array, outputs: Array, num_constants: int, arity: Array
) -> tuple[Array, Array]:
    """Mark nodes and constants from which an output can be reached (constants are negative ids)."""
    live = np.zeros(opcode.size, dtype=np.bool_)
    constant_live = np.zeros(num_constants, dtype=np.bool_)
    for k in range(outputs.size):
        if outputs[k] >= 0:
            live[outputs[k]] = True
        else:
            constant_live[-outputs[k] - 1] = True
    for i in range(opcode.size - 1, -1, -1):
        code = opcode[i]
        if not live[i] or code == INPUT or code == PARAMETER:
            continue
        if code == BLACKBOX:
            site = arg1[i]
            # All outputs of one call stay together: they are evaluated by one call.
            for k in range(site_block[site, 0], site_block[site, 1]):
                live[k] = True
            for k in range(site_ptr[site], site_ptr[site + 1]):
                a = site_arg[k]
                if a >= 0:
                    live[a] = True
                else:
                    constant_live[-a - 1] = True
        elif code == AFFINE or code == SELECT:
            for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                a = row_arg[k]
                if a >= 0:
                    live[a] = True
                else:
                    constant_live[-a - 1] = True
        else:
            a = arg0[i]
            if a >= 0:
                live[a] = True
            else:
                constant_live[-a - 1] = True
            if arity[code] == 2:
                b = arg1[i]
                if b >= 0:
                    live[b] = True
                else:
                    constant_live[-b - 1] = True
    return live, constant_live


@njit(cache=True, nogil=True)
def renumber(opcode: Array, arg0: Array, live: Array, constant_live: Array, num_inputs: int, num_parameters: int) -> tuple[Array, Array, int]:
    """New ids: inputs, parameters, live constants, live operations in their old order."""
    new_id = np.full(opcode.size, -1, dtype=np.int32)
    new_constant = np.full(constant_live.size, -1, dtype=np.int32)
    following = num_inputs + num_parameters
    for k in range(constant_live.size):
        if constant_live[k]:
            new_constant[k] = following
            following += 1
    for i in range(opcode.size):
        if opcode[i] == INPUT:
            new_id[i] = arg0[i]
        elif opcode[i] == PARAMETER:
            new_id[i] = num_inputs + arg0[i]
        elif live[i]:
            new_id[i] = following
            following += 1
    return new_id, new_constant, following


@njit(cache=True, nogil=True)
def translate(ids: Array, new_id: Array, new_constant: Array) -> Array:
    """Old ids (constants negative) to new ones."""
    out = np.empty(ids.size, dtype=np.int32)
    for k in range(ids.size):
        out[k] = new_id[ids[k]] if ids[k] >= 0 else new_constant[-ids[k] - 1]
    return out


@njit(cache=True, nogil=True)
def compact(
    opcode: Array,
    arg0: Array,
    arg1: Array,
    row_ptr: Array,
    row_arg: Array,
    row_coef: Array,
    row_const: Array,
    new_id: Array,
    new_constant: Array,
    first_operation: int,
    size: int,
    arity: Array,
) -> tuple[Array, Array, Array, Array, Array, Array, Array]:
    """Write the live nodes under their new ids."""
    out_code = np.empty(size, dtype=np.uint8)
    out0 = np.zeros(size, dtype=np.int32)
    out1 = np.zeros(size, dtype=np.int32)
    rows = 0
    terms = 0
    for i in range(opcode.size):
        if new_id[i] >= first_operation and arity[opcode[i]] == -1:
            rows += 1
            terms += row_ptr[arg0[i] + 1] - row_ptr[arg0[i]]
    out_ptr = np.zeros(rows + 1, dtype=np.int64)
    out_arg = np.empty(terms, dtype=np.int32)
    out_coef = np.empty(terms, dtype=np.float64)
    out_const = np.empty(rows, dtype=np.float64)
    r = 0
    t = 0
    for i in range(opcode.size):
        j = new_id[i]
        if j < first_operation:
            continue
        code = opcode[i]
        out_code[j] = code
        if arity[code] == -1:
            out0[j] = r
            out1[j] = arg1[i]
            for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                a = row_arg[k]
                out_arg[t] = new_id[a] if a >= 0 else new_constant[-a - 1]
                out_coef[t] = row_coef[k]
                t += 1
            out_const[r] = row_const[arg0[i]]
            r += 1
            out_ptr[r] = t
        else:
            a = arg0[i]
            out0[j] = new_id[a] if a >= 0 else new_constant[-a - 1]
            b = arg1[i] if arity[code] == 2 else a
            out1[j] = new_id[b] if b >= 0 else new_constant[-b - 1]
    return out_code, out0, out1, out_ptr, out_arg, out_coef, out_const


@njit(cache=True, nogil=True)
def edge_flags(opcode: Array, arg0: Array, arg1: Array, row_ptr: Array, row_arg: Array, by_opcode: Array, num_inputs: int) -> Array:
    """Flags of each node's partials, cleared where the argument does not depend on an input."""
    flags = np.zeros(opcode.size, dtype=np.uint8)
    flags[:num_inputs] = FLAG_A
    for i in range(num_inputs, opcode.size):
        code = opcode[i]
        if code == PARAMETER or code == CONSTANT:
            continue
        if code == AFFINE or code == BLACKBOX:
            for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                if flags[row_arg[k]] & (FLAG_A | FLAG_B):
                    flags[i] = FLAG_A
                    break
        elif code == SELECT:
            # the condition contributes nothing; bit A is the first branch, bit B the second
            k = row_ptr[arg0[i]]
            if flags[row_arg[k + 1]] & (FLAG_A | FLAG_B):
                flags[i] |= FLAG_A
            if flags[row_arg[k + 2]] & (FLAG_A | FLAG_B):
                flags[i] |= FLAG_B
        else:
            bits = by_opcode[code]
            if not flags[arg0[i]] & (FLAG_A | FLAG_B):
                bits &= ~np.uint8(FLAG_A | FLAG_AA | FLAG_AB)
            if not flags[arg1[i]] & (FLAG_A | FLAG_B):
                bits &= ~np.uint8(FLAG_B | FLAG_BB | FLAG_AB)
            flags[i] = bits
    return flags
