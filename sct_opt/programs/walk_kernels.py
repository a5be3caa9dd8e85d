"""Kernels that walk clusters and find out which are instances of the same program."""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.kernel import kernel
from sct_opt.ops import AFFINE, CONSTANT, INPUT, PARAMETER, SELECT
from sct_opt.programs.split_kernels import grown

Array = np.ndarray[Any, Any]

ROOT = 256
"""Token of a root: ``ROOT + number of targets`` (at most 16), followed by the local number of the root's node."""


@kernel
def _walk_cluster(
    opcode: Array,
    ptr: Array,
    args: Array,
    arg0: Array,
    row_ptr: Array,
    row_coef: Array,
    row_const: Array,
    constants: Array,
    num_inputs: int,
    first_constant: int,
    first_operation: int,
    roots: Array,
    widths: Array,
    members: Array,
    stamp: int,
    local: Array,
    owner: Array,
    stack: Array,
    turn: Array,
    tokens: Array,
    inputs: Array,
    num_in: int,
    parameters: Array,
    num_par: int,
    numbers: Array,
    num_num: int,
) -> tuple[int, int, int, int]:
    """Walk one cluster; numbers of tokens (-1 if some array is too short), inputs, parameters and numbers."""
    used = 0
    ids = 0
    for q in range(members.size):
        top = -1
        root = roots[members[q]]
        if owner[root] != stamp:
            top = 0
            stack[0], turn[0] = root, 0
        while top >= 0:
            i = stack[top]
            code = opcode[i]
            if i < first_operation:
                if (
                    used >= tokens.size
                    or num_in >= inputs.size
                    or num_par >= parameters.size
                    or num_num >= numbers.size
                ):
                    return -1, 0, 0, 0
                owner[i] = stamp
                local[i] = ids
                ids += 1
                top -= 1
                tokens[used] = code
                used += 1
                if code == INPUT:
                    inputs[num_in] = i
                    num_in += 1
                elif code == PARAMETER:
                    parameters[num_par] = i - num_inputs
                    num_par += 1
                else:
                    numbers[num_num] = constants[i - first_constant]
                    num_num += 1
                continue
            first = ptr[i]
            n = ptr[i + 1] - first
            j = turn[top]
            deeper = False
            while j < n:
                a = args[first + j]
                j += 1
                if owner[a] != stamp and opcode[a] != CONSTANT:
                    turn[top] = j
                    top += 1
                    if top >= stack.size:
                        return -1, 0, 0, 0
                    stack[top] = a
                    turn[top] = 0
                    deeper = True
                    break
            if deeper:
                continue
            top -= 1
            if used + 2 * n + 2 > tokens.size or num_num + 2 * n + 1 > numbers.size:
                return -1, 0, 0, 0
            # constants get a place of their own at each use, so that equal numbers make no structure
            constant_id = ids
            for j in range(n):
                a = args[first + j]
                if opcode[a] == CONSTANT:
                    numbers[num_num] = constants[a - first_constant]
                    num_num += 1
                    tokens[used] = CONSTANT
                    used += 1
                    ids += 1
            tokens[used] = code
            used += 1
            if code == AFFINE or code == SELECT:
                tokens[used] = n
                used += 1
            for j in range(n):
                a = args[first + j]
                if opcode[a] == CONSTANT:
                    tokens[used] = constant_id
                    constant_id += 1
                else:
                    tokens[used] = local[a]
                used += 1
            if code == AFFINE:
                row = arg0[i]
                for j in range(n):
                    numbers[num_num] = row_coef[row_ptr[row] + j]
                    num_num += 1
                numbers[num_num] = row_const[row]
                num_num += 1
            owner[i] = stamp
            local[i] = ids
            ids += 1
        if used + 2 > tokens.size:
            return -1, 0, 0, 0
        tokens[used] = ROOT + widths[members[q]]
        tokens[used + 1] = local[root]
        used += 2
    return used, num_in, num_par, num_num


@kernel
def _records(opcode: Array, ptr: Array, args: Array, arity: Array, first_operation: int) -> Array:
    """Operator and arguments of each node side by side, so that looking at a node touches memory once.

    Of n-ary nodes the second and third number are where the arguments begin and how many there are.
    """
    out = np.empty(3 * opcode.size, dtype=np.uint32)
    for i in range(opcode.size):
        code = opcode[i]
        out[3 * i] = code
        if i < first_operation:
            continue
        first = ptr[i]
        if arity[code] < 0:
            out[3 * i + 1] = first
            out[3 * i + 2] = ptr[i + 1] - first
        else:
            out[3 * i + 1] = args[first]
            out[3 * i + 2] = args[ptr[i + 1] - 1]
    return out


@kernel
def _match_clusters(
    record: Array,
    args: Array,
    arg0: Array,
    row_ptr: Array,
    row_coef: Array,
    row_const: Array,
    constants: Array,
    num_inputs: int,
    first_constant: int,
    first_operation: int,
    arity: Array,
    roots: Array,
    widths: Array,
    cluster_ptr: Array,
    cluster_roots: Array,
    cluster: int,
    last: int,
    node: Array,
    seen: Array,
    seen_at: Array,
    follower: Array,
    counts: Array,
    tokens: Array,
    token_ptr: Array,
    items: Array,
    item_ptr: Array,
    ends: Array,
    end_ptr: Array,
    program: Array,
    begin: Array,
    inputs: Array,
    num_in: int,
    parameters: Array,
    num_par: int,
    numbers: Array,
    num_num: int,
) -> tuple[int, int, int, int, int]:
    """Find out without a walk whether clusters are instances of the program that followed the last one's before.

    Goes on from cluster to cluster until one is not, or some array is too short, and returns where it stopped, the last
    program, and the numbers of inputs, parameters and numbers.

    Going down from the roots, every local number of the program gets the node that stands in its place.  Operators must
    agree, a number must not get two nodes, and no node may get two numbers: a hash set of nodes, ``seen``, whose entries
    count where ``seen_at`` holds this cluster's stamp, sees to that.
    """
    # Unsigned indices: Numba then does not look for negative ones.
    nowhere = np.uint32(0xFFFFFFFF)
    three = np.uint64(3)
    slots = np.uint32(seen.size - 1)
    factor = np.uint32(2654435769)
    one = np.uint32(1)
    low, high = np.uint32(first_constant), np.uint32(first_operation)
    while cluster < program.size and last >= 0 and follower[last] >= 0:
        guess = follower[last]
        if (
            num_in + counts[guess, 0] > inputs.size
            or num_par + counts[guess, 1] > parameters.size
            or num_num + counts[guess, 2] > numbers.size
        ):
            break
        mark = np.uint32(cluster + 1)
        first_token = token_ptr[guess]
        first_item = item_ptr[guess]
        count = item_ptr[guess + 1] - first_item
        first_root = cluster_ptr[cluster]
        num_roots = cluster_ptr[cluster + 1] - first_root
        same = num_roots == end_ptr[guess + 1] - end_ptr[guess]
        for k in range(count):
            node[np.uint64(k)] = nowhere
        q = 0
        while same and q < num_roots:
            member = cluster_roots[first_root + q]
            end = first_token + ends[end_ptr[guess] + q]
            i = np.uint32(roots[member])
            local = np.uint32(tokens[end + 1])
            q += 1
            if tokens[end] != ROOT + widths[member]:
                same = False
            elif node[local] != i:
                same = node[local] == nowhere
                slot = ((i * factor) >> np.uint32(8)) & slots
                while same and seen_at[slot] == mark:
                    same = seen[slot] != i
                    slot = (slot + one) & slots
                seen_at[slot] = mark
                seen[slot] = i
                node[local] = i
        k = count
        while same and k > 0:
            k -= 1
            i = node[np.uint64(k)]
            position = np.uint64(first_token + items[np.uint64(first_item + k)])
            code = tokens[position]
            if i >= high:
                place = np.uint64(i) * three
                if record[place] != np.uint32(code):
                    same = False
                    break
                nary = code == AFFINE or code == SELECT
                first = record[place + np.uint64(1)]
                n = record[place + np.uint64(2)] if nary else np.uint32(arity[np.uint32(code)])
                position += np.uint64(1)
                if nary:
                    if np.uint32(tokens[position]) != n:
                        same = False
                        break
                    position += np.uint64(1)
                j = np.uint32(0)
                while j < n:
                    a = np.uint32(args[first + j]) if nary else record[place + np.uint64(1) + np.uint64(j)]
                    other = np.uint32(tokens[position + np.uint64(j)])
                    j += one
                    there = node[other]
                    if a >= low and a < high:
                        # each use of a constant has a local number of its own
                        if there != nowhere:
                            same = False
                            break
                        node[other] = a
                    elif there != a:
                        same = there == nowhere
                        slot = ((a * factor) >> np.uint32(8)) & slots
                        while same and seen_at[slot] == mark:
                            same = seen[slot] != a
                            slot = (slot + one) & slots
                        if not same:
                            break
                        seen_at[slot] = mark
                        seen[slot] = a
                        node[other] = a
            elif i >= low:
                same = code == CONSTANT
            else:
                same = code == (INPUT if i < np.uint32(num_inputs) else PARAMETER)
        if not same:
            break
        begin[cluster, 0], begin[cluster, 1], begin[cluster, 2] = num_in, num_par, num_num
        for k in range(count):
            i = node[np.uint64(k)]
            if i < np.uint32(num_inputs):
                inputs[num_in] = i
                num_in += 1
            elif i < low:
                parameters[num_par] = i - np.uint32(num_inputs)
                num_par += 1
            elif i < high:
                numbers[num_num] = constants[i - low]
                num_num += 1
            elif tokens[first_token + items[np.uint64(first_item + k)]] == AFFINE:
                row = arg0[i]
                for q in range(row_ptr[row], row_ptr[row + 1]):
                    numbers[num_num] = row_coef[q]
                    num_num += 1
                numbers[num_num] = row_const[row]
                num_num += 1
        program[cluster] = guess
        last = guess
        cluster += 1
    return cluster, last, num_in, num_par, num_num


@kernel
def _items(tokens: Array, arity: Array) -> tuple[Array, Array]:
    """Positions of a program's nodes and of its roots among its tokens."""
    items = np.empty(tokens.size, dtype=np.int32)
    ends = np.empty(tokens.size, dtype=np.int32)
    num_items, num_ends = 0, 0
    k = 0
    while k < tokens.size:
        code = tokens[k]
        if code >= ROOT:
            ends[num_ends] = k
            num_ends += 1
            k += 2
            continue
        items[num_items] = k
        num_items += 1
        k += 2 + tokens[k + 1] if code == AFFINE or code == SELECT else 1 + arity[code]
    return items[:num_items], ends[:num_ends]


@kernel
def _hash(tokens: Array, used: int) -> np.uint64:
    h = np.uint64(14695981039346656037)
    for k in range(used):
        h = (h ^ np.uint64(tokens[k])) * np.uint64(1099511628211)
        h ^= h >> np.uint64(32)
    return h


@kernel
def _look_up(
    table: Array, hashes: Array, token_ptr: Array, all_tokens: Array, tokens: Array, used: int, h: np.uint64
) -> tuple[Any, Any]:
    """Number of the program with these tokens, or -1, and the slot of the table where the search ended."""
    mask = table.size - 1
    slot = np.int64(h & np.uint64(mask))
    while table[slot] >= 0:
        p = table[slot]
        base = token_ptr[p]
        if hashes[p] == h and token_ptr[p + 1] - base == used:
            k = 0
            while k < used and all_tokens[base + k] == tokens[k]:
                k += 1
            if k == used:
                return p, slot
        slot = (slot + 1) & mask
    return -1, slot


@kernel
def walk(
    opcode: Array,
    ptr: Array,
    args: Array,
    arg0: Array,
    row_ptr: Array,
    row_coef: Array,
    row_const: Array,
    constants: Array,
    num_inputs: int,
    first_constant: int,
    first_operation: int,
    roots: Array,
    widths: Array,
    cluster_ptr: Array,
    cluster_roots: Array,
    arity: Array,
) -> tuple[Array, Array, Array, Array, Array, Array, Array, Array]:
    """Walk all clusters canonically and find those that are instances of the same program.

    The walk of a cluster gives a sequence of tokens, input indices, parameter indices and numbers.  Equal tokens are
    one program.  Hashes find candidates; tokens are compared.  Before that the program is tried that followed the last
    one when it occurred before, which needs no walk.

    Returns:
        Program of each cluster; tokens of all programs and where each begins; inputs, parameters and numbers of all
        clusters one after the other; number of inputs, parameters and numbers of each program (``(programs, 3)``);
        where each cluster's begin (``(clusters, 3)``).
    """
    clusters = cluster_ptr.size - 1
    local = np.empty(opcode.size, dtype=np.int32)
    owner = np.zeros(opcode.size, dtype=np.int32)
    depth = 1024
    stack = np.empty(depth, dtype=np.int32)
    turn = np.empty(depth, dtype=np.int32)
    tokens = np.empty(4096, dtype=np.int32)
    program = np.empty(clusters, dtype=np.int32)
    all_tokens = np.empty(1024, dtype=np.int32)
    token_ptr = np.zeros(2, dtype=np.int32)
    counts = np.zeros((16, 3), dtype=np.int32)
    num_programs = 0
    inputs = np.empty(max(1024, 4 * clusters), dtype=np.int32)
    parameters = np.empty(16, dtype=np.int32)
    numbers = np.empty(max(1024, 8 * clusters))
    num_in, num_par, num_num = 0, 0, 0
    begin = np.empty((clusters, 3), dtype=np.int64)
    table = np.zeros(1024, dtype=np.int32)
    table[:] = -1
    hashes = np.zeros(16, dtype=np.uint64)
    stamp = 0
    node = np.zeros(256, dtype=np.uint32)
    seen = np.zeros(256, dtype=np.uint32)
    seen_at = np.zeros(256, dtype=np.uint32)
    items = np.empty(0, dtype=np.int32)
    ends = np.empty(0, dtype=np.int32)
    item_ptr = np.zeros(2, dtype=np.int32)
    end_ptr = np.zeros(2, dtype=np.int32)
    follower = np.zeros(16, dtype=np.int32)
    follower[:] = -1
    last = -1
    record = _records(opcode, ptr, args, arity, first_operation)
    c = 0
    while c < clusters:
        if last >= 0 and follower[last] >= 0:
            c, last, num_in, num_par, num_num = _match_clusters(
                record, args, arg0, row_ptr, row_coef, row_const, constants, num_inputs, first_constant, first_operation,
                arity, roots, widths, cluster_ptr, cluster_roots, c, last, node, seen, seen_at, follower, counts, all_tokens,
                token_ptr, items, item_ptr, ends, end_ptr, program, begin, inputs, num_in, parameters, num_par, numbers, num_num,
            )  # fmt: skip
            if c == clusters:
                break
        begin[c, 0], begin[c, 1], begin[c, 2] = num_in, num_par, num_num
        members = cluster_roots[cluster_ptr[c] : cluster_ptr[c + 1]]
        while True:
            stamp += 1
            used, end_in, end_par, end_num = _walk_cluster(
                opcode, ptr, args, arg0, row_ptr, row_coef, row_const, constants, num_inputs, first_constant, first_operation,
                roots, widths, members, stamp, local, owner, stack, turn, tokens, inputs, num_in, parameters, num_par, numbers, num_num,
            )  # fmt: skip
            if used >= 0:
                break
            depth *= 2
            stack = grown(stack, depth)
            turn = grown(turn, depth)
            tokens = grown(tokens, 4 * depth)
            inputs = grown(inputs, num_in + depth)
            parameters = grown(parameters, num_par + depth)
            numbers = grown(numbers, num_num + 4 * depth)
        h = _hash(tokens, used)
        found, slot = _look_up(table, hashes, token_ptr, all_tokens, tokens, used, h)
        if found < 0:
            found = num_programs
            num_programs += 1
            table[slot] = found
            end = token_ptr[found] + used
            all_tokens = grown(all_tokens, end)
            first = token_ptr[found]
            for k in range(used):
                all_tokens[first + k] = tokens[k]
            token_ptr = grown(token_ptr, num_programs + 1)
            token_ptr[num_programs] = end
            if num_programs > hashes.size:
                more_counts = np.zeros((2 * hashes.size, 3), dtype=np.int32)
                more_hashes = np.zeros(2 * hashes.size, dtype=np.uint64)
                more_followers = np.zeros(2 * hashes.size, dtype=np.int32)
                for q in range(2 * hashes.size):
                    more_followers[q] = -1
                    if q < hashes.size:
                        more_hashes[q] = hashes[q]
                        more_followers[q] = follower[q]
                        for k in range(3):
                            more_counts[q, k] = counts[q, k]
                counts, hashes, follower = more_counts, more_hashes, more_followers
            hashes[found] = h
            counts[found, 0] = end_in - num_in
            counts[found, 1] = end_par - num_par
            counts[found, 2] = end_num - num_num
            more_items, more_ends = _items(tokens[:used], arity)
            item_ptr = grown(item_ptr, num_programs + 1)
            end_ptr = grown(end_ptr, num_programs + 1)
            item_ptr[num_programs] = item_ptr[found] + more_items.size
            end_ptr[num_programs] = end_ptr[found] + more_ends.size
            items = grown(items, item_ptr[num_programs])
            ends = grown(ends, end_ptr[num_programs])
            for k in range(more_items.size):
                items[item_ptr[found] + k] = more_items[k]
            for k in range(more_ends.size):
                ends[end_ptr[found] + k] = more_ends[k]
            if seen.size < 4 * more_items.size:
                length = seen.size
                while length < 4 * more_items.size:
                    length *= 2
                seen = np.zeros(length, dtype=np.uint32)
                seen_at = np.zeros(length, dtype=np.uint32)
                node = np.zeros(length, dtype=np.uint32)
            if 2 * num_programs > table.size:
                table = np.zeros(4 * table.size, dtype=np.int32)
                table[:] = -1
                for p in range(num_programs):
                    slot = np.int64(hashes[p] & np.uint64(table.size - 1))
                    while table[slot] >= 0:
                        slot = (slot + 1) & (table.size - 1)
                    table[slot] = p
        program[c] = found
        if last >= 0:
            follower[last] = found
        last = found
        c += 1
        num_in, num_par, num_num = end_in, end_par, end_num
    return (
        program,
        all_tokens[: token_ptr[num_programs]],
        token_ptr[: num_programs + 1],
        inputs[:num_in],
        parameters[:num_par],
        numbers[:num_num],
        counts[:num_programs],
        begin,
    )
