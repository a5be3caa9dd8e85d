"""Kernels of Hessian detection: which index sets the nonlinear nodes of a tape couple.

See `sct_opt.detection_kernels` for how sets are stored and when an edge is live.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.kernel import kernel
from sct_opt.ops import AFFINE, BLACKBOX, FLAG_A, FLAG_AA, FLAG_AB, FLAG_B, FLAG_BB, SELECT

Array = np.ndarray[Any, Any]

_SECOND = FLAG_AA | FLAG_AB | FLAG_BB

# States of a node in `couplings`.
_LIVE = 1  # an adjoint reaches it
_COVERED = 2  # its set lies within a set whose inputs are all coupled with one another
_CLIQUE = 4  # the inputs of its set are to be coupled with one another
WANTED = 8  # its set is needed

_SUBSET_CHECK = 256  # products of two sets at least this large are examined for one set lying within the other


@kernel
def _set_of(node: int, num_inputs: int, place: Array) -> int:
    return node if node < num_inputs else -place[node] - 1


@kernel
def _length(s: int, num_inputs: int, set_start: Array) -> int:
    return 1 if s < num_inputs else set_start[s - num_inputs + 1] - set_start[s - num_inputs]


@kernel
def _is_subset(small: int, large: int, num_inputs: int, set_start: Array, pool: Array, mark: Array, stamp: int) -> bool:
    """Whether one set lies within another, which is not an input alone."""
    for k in range(set_start[large - num_inputs], set_start[large - num_inputs + 1]):
        mark[pool[k]] = stamp
    if small < num_inputs:
        return bool(mark[small] == stamp)
    for k in range(set_start[small - num_inputs], set_start[small - num_inputs + 1]):
        if mark[pool[k]] != stamp:
            return False
    return True


@kernel
def couplings(
    opcode: Array,
    arg0: Array,
    arg1: Array,
    row_ptr: Array,
    row_arg: Array,
    flags: Array,
    num_inputs: int,
    outputs: Array,
    site_first: Array,
    site_outputs: Array,
    site_ptr: Array,
    site_a: Array,
    site_b: Array,
    place: Array,
    set_start: Array,
    pool: Array,
) -> tuple[Array, Array]:
    """Pairs of nodes whose sets are coupled by second partials, from the outputs down to the inputs.

    A node is live if an adjoint reaches it.  A live nonlinear node couples the sets of its arguments.  Where all of a
    set is coupled with itself (``exp(s)`` for example), whatever is computed below adds nothing, so nodes below are
    *covered* and skipped: a long nonlinear recursion costs its outermost set and not one per step.

    The kernel runs without sets (``set_start`` empty) to learn which are needed.  Where they are large it runs again
    with them: then a set found to lie within its partner covers what is below it as well.

    Args:
        opcode: see `Tape`.
        arg0: see `Tape`.
        arg1: see `Tape`.
        row_ptr: see `Tape`.
        row_arg: see `Tape`.
        flags: see `Tape.edge_flags`.
        num_inputs: number of inputs.
        outputs: node ids of the outputs.
        site_first: first output node of each black-box call.
        site_outputs: number of outputs of each call.
        site_ptr: where each call starts in ``site_a`` and ``site_b``.
        site_a: first argument node of each structural nonzero of a call's Hessian.
        site_b: second argument node of each.
        place: see `reach`.
        set_start: see `reach`; empty in the first run.
        pool: see `reach`.

    Returns:
        The pairs of nodes, one behind the other (twice the same node couples its set with itself), and the state of
        each node, with bit ``WANTED`` on those in pairs.
    """
    with_sets = set_start.size > 0
    state = np.zeros(opcode.size, dtype=np.uint8)
    mark = np.zeros(num_inputs if with_sets else 0, dtype=np.int32)
    stamp = 0
    # A node gives rise to two pairs at most; what is not written takes no memory.
    pairs = np.empty(4 * opcode.size + 2 * site_a.size, dtype=np.int32)
    count = 0
    for k in range(outputs.size):
        if flags[outputs[k]]:
            state[outputs[k]] = _LIVE
    for i in range(opcode.size - 1, -1, -1):
        s = state[i]
        code = opcode[i]
        if s == 0 and code != BLACKBOX:  # a call's first output stands for the others
            continue
        if s & _CLIQUE and not s & _COVERED:
            pairs[count] = i
            pairs[count + 1] = i
            count += 2
            state[i] |= WANTED
            s |= _COVERED
        if i < num_inputs:
            continue
        f = flags[i]
        inherited = s & (_LIVE | _COVERED)
        if code == AFFINE or code == BLACKBOX:
            for k in range(row_ptr[arg0[i]], row_ptr[arg0[i] + 1]):
                if flags[row_arg[k]]:
                    state[row_arg[k]] |= inherited
            if code == AFFINE:
                continue
            site = arg1[i]
            if site_first[site] != i:
                continue
            # All outputs of the call have been seen: they follow its first one.
            live = False
            for k in range(i, i + site_outputs[site]):
                live |= (state[k] & _LIVE) != 0
            if not live:
                continue
            for k in range(site_ptr[site], site_ptr[site + 1]):
                a, b = site_a[k], site_b[k]
                if flags[a] == 0 or flags[b] == 0:
                    continue
                if a == b:
                    state[a] |= _CLIQUE
                else:
                    pairs[count] = a
                    pairs[count + 1] = b
                    count += 2
                    state[a] |= WANTED
                    state[b] |= WANTED
            continue
        a = arg0[i]
        b = arg1[i]
        if code == SELECT:
            k = row_ptr[a]
            a = row_arg[k + 1]
            b = row_arg[k + 2]
        if f & FLAG_A:
            state[a] |= inherited
        if f & FLAG_B:
            state[b] |= inherited
        if not (s & _LIVE and f & _SECOND):
            continue
        # An argument's set lies within this node's only if its first partial is live too, which masking may undo.
        if f & FLAG_AA and not (s & _COVERED and f & FLAG_A):
            state[a] |= _CLIQUE
        if f & FLAG_BB and not (s & _COVERED and f & FLAG_B):
            state[b] |= _CLIQUE
        if f & FLAG_AB and not (s & _COVERED and f & FLAG_A and f & FLAG_B):
            if a == b:
                state[a] |= _CLIQUE
                continue
            if with_sets:
                sa, sb = _set_of(a, num_inputs, place), _set_of(b, num_inputs, place)
                if sa == sb:
                    # The later one first, because it may be computed from the other.
                    state[max(a, b)] |= _CLIQUE
                    state[min(a, b)] |= _COVERED
                    continue
                la, lb = _length(sa, num_inputs, set_start), _length(sb, num_inputs, set_start)
                if la * lb > _SUBSET_CHECK:
                    stamp += 1
                    if la <= lb and _is_subset(sa, sb, num_inputs, set_start, pool, mark, stamp):
                        state[a] |= _COVERED
                    elif lb < la and _is_subset(sb, sa, num_inputs, set_start, pool, mark, stamp):
                        state[b] |= _COVERED
            pairs[count] = a
            pairs[count + 1] = b
            count += 2
            state[a] |= WANTED
            state[b] |= WANTED
    return pairs[:count], state


@kernel
def set_pairs(pairs: Array, num_inputs: int, place: Array, set_start: Array) -> tuple[Array, int, float, int, int, int]:
    """Pairs of sets for pairs of nodes.

    Returns:
        The pairs, the number of elements of their sets, the number of couplings at most, and the largest pair: its
        position and the sizes of its two sets.
    """
    sets = np.empty(pairs.size, dtype=np.int32)
    elements = 0
    couplings = 0.0
    largest = (0, 0, 0)
    for k in range(0, pairs.size, 2):
        a = pairs[k]
        b = pairs[k + 1]
        if a >= num_inputs:
            a = -place[a] - 1
        if b >= num_inputs:
            b = -place[b] - 1
        sets[k] = a
        sets[k + 1] = b
        la = 1 if a < num_inputs else set_start[a - num_inputs + 1] - set_start[a - num_inputs]
        lb = 1 if b < num_inputs else set_start[b - num_inputs + 1] - set_start[b - num_inputs]
        elements += la if a == b else la + lb
        couplings += la * lb
        if la * lb > largest[1] * largest[2]:
            largest = (k, la, lb)
    return sets, elements, couplings, largest[0], largest[1], largest[2]


@kernel
def incidence(sets: Array, num_inputs: int, set_start: Array, pool: Array, elements: int) -> tuple[Array, Array]:
    """Per input, the sets that it is coupled with, as rows of sets for `unite`."""
    # Ends of the rows first; filling from the back leaves the starts.
    ptr = np.zeros(num_inputs + 1, dtype=np.int64)
    for k in range(sets.size):
        s = sets[k]
        if k % 2 == 1 and sets[k - 1] == s:
            continue
        if s < num_inputs:
            ptr[s] += 1
        else:
            for t in range(set_start[s - num_inputs], set_start[s - num_inputs + 1]):
                ptr[pool[t]] += 1
    for j in range(num_inputs):
        ptr[j + 1] += ptr[j]
    partner = np.empty(elements, dtype=np.int32)
    for k in range(sets.size):
        s = sets[k]
        other = sets[k ^ 1]
        if k % 2 == 1 and other == s:
            continue
        if s < num_inputs:
            ptr[s] -= 1
            partner[ptr[s]] = other
        else:
            for t in range(set_start[s - num_inputs], set_start[s - num_inputs + 1]):
                j = pool[t]
                ptr[j] -= 1
                partner[ptr[j]] = other
    return ptr, partner
