"""Kernels that group roots into clusters: roots that share work are evaluated together.

Nodes reached by the same set of roots form an *atom*.  How much two roots have in common is the weight of the atoms that
reach both, as a fraction of their union; pairs are united in ten rounds of falling similarity.  A round that would make
a cluster too large is taken back for that cluster, and the shared nodes are then evaluated in each of the clusters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sct_opt.kernel import kernel
from sct_opt.programs.split_kernels import cone_size, grown

Array = np.ndarray[Any, Any]

ROUNDS = 10


@kernel
def cone_sizes(opcode: Array, ptr: Array, args: Array, roots: Array, first_operation: int, limit: int) -> Array:
    """Operations below each root; ``limit + 1`` where there are more or a black box."""
    seen = np.zeros(opcode.size, dtype=np.int32)
    stack = np.empty(16 * limit + 1024, dtype=np.int32)
    sizes = np.empty(roots.size, dtype=np.int32)
    for r in range(roots.size):
        sizes[r] = cone_size(opcode, ptr, args, roots[r], first_operation, limit, r + 1, seen, stack)
    return sizes


@kernel
def _cone(
    opcode: Array,
    ptr: Array,
    args: Array,
    root: int,
    first_operation: int,
    stamp: int,
    seen: Array,
    cone: Array,
    count: int,
) -> int:
    """Append the operations below a root that do not carry the stamp; their new number."""
    if root < first_operation or seen[root] == stamp:
        return count
    seen[root] = stamp
    cone[count] = root
    done = count
    count += 1
    while done < count:
        i = cone[done]
        done += 1
        for j in range(ptr[i + 1] - ptr[i]):
            a = args[ptr[i] + j]
            if a >= first_operation and seen[a] != stamp:
                seen[a] = stamp
                cone[count] = a
                count += 1
    return count


@kernel
def _mix(r: int) -> np.uint64:
    h = np.uint64(r + 1) * np.uint64(0x9E3779B97F4A7C15)
    h ^= h >> np.uint64(31)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    h ^= h >> np.uint64(29)
    return h * np.uint64(0x94D049BB133111EB)


@kernel
def _atoms(
    opcode: Array,
    ptr: Array,
    args: Array,
    roots: Array,
    small: Array,
    linear: Array,
    weight_by_code: Array,
    first_operation: int,
    limit: int,
    max_level: int,
) -> tuple[Array, Array, Array, Array]:
    """Atoms of at least two and at most ``max_level`` roots.

    Returns:
        Weight of each atom, weight of each root, and the pairs (root, atom) in the order of roots.
    """
    size = opcode.size
    seen = np.zeros(size, dtype=np.int32)
    cone = np.empty(limit + 2, dtype=np.int32)
    level = np.zeros(size, dtype=np.int32)
    key = np.zeros(size, dtype=np.uint64)
    weight = np.zeros(roots.size, dtype=np.int64)
    for r in range(roots.size):
        if not small[r]:
            continue
        count = _cone(opcode, ptr, args, roots[r], first_operation, r + 1, seen, cone, 0)
        h = _mix(r)
        for k in range(count):
            i = cone[k]
            if linear[i] == 0:
                level[i] += 1
                key[i] += h
                weight[r] += weight_by_code[opcode[i]]
    shared = 0
    for i in range(first_operation, size):
        if 2 <= level[i] <= max_level:
            shared += 1
    length = 16
    while length < 2 * shared:
        length *= 2
    table_key = np.zeros(length, dtype=np.uint64)
    table_atom = np.full(length, -1, dtype=np.int32)
    atom_weight = np.zeros(shared, dtype=np.int64)
    atom_of = np.full(size, -1, dtype=np.int32)
    num_atoms = 0
    mask = np.uint64(length - 1)
    for i in range(first_operation, size):
        if 2 <= level[i] <= max_level:
            slot = (key[i] ^ (key[i] >> np.uint64(32))) & mask
            while table_atom[slot] >= 0 and table_key[slot] != key[i]:
                slot = (slot + np.uint64(1)) & mask
            if table_atom[slot] < 0:
                table_atom[slot] = num_atoms
                table_key[slot] = key[i]
                num_atoms += 1
            atom_of[i] = table_atom[slot]
            atom_weight[atom_of[i]] += weight_by_code[opcode[i]]
    pair_root = np.empty(1024, dtype=np.int32)
    pair_atom = np.empty(1024, dtype=np.int32)
    pairs = 0
    last = np.full(num_atoms, -1, dtype=np.int32)
    seen[:] = 0
    for r in range(roots.size):
        if not small[r]:
            continue
        count = _cone(opcode, ptr, args, roots[r], first_operation, r + 1, seen, cone, 0)
        for k in range(count):
            a = atom_of[cone[k]]
            if a >= 0 and last[a] != r:
                last[a] = r
                pair_root = grown(pair_root, pairs + 1)
                pair_atom = grown(pair_atom, pairs + 1)
                pair_root[pairs], pair_atom[pairs] = r, a
                pairs += 1
    return atom_weight[:num_atoms], weight, pair_root[:pairs], pair_atom[:pairs]


@kernel
def _similar_pairs(
    num_roots: int, atom_weight: Array, weight: Array, pair_root: Array, pair_atom: Array
) -> tuple[Array, Array, Array]:
    """Pairs of roots that share atoms, and the round in which to unite them."""
    num_atoms = atom_weight.size
    start = np.zeros(num_atoms + 1, dtype=np.int64)
    for k in range(pair_atom.size):
        start[pair_atom[k] + 1] += 1
    for a in range(num_atoms):
        start[a + 1] += start[a]
    members = np.empty(pair_atom.size, dtype=np.int32)
    place = start[:-1].copy()
    for k in range(pair_atom.size):
        members[place[pair_atom[k]]] = pair_root[k]
        place[pair_atom[k]] += 1
    left = np.empty(1024, dtype=np.int32)
    right = np.empty(1024, dtype=np.int32)
    order = np.empty(1024, dtype=np.int32)
    count = 0
    common = np.zeros(num_roots, dtype=np.int64)
    touched = np.empty(num_roots, dtype=np.int32)
    first = 0
    while first < pair_root.size:
        r = pair_root[first]
        stop = first
        found = 0
        while stop < pair_root.size and pair_root[stop] == r:
            a = pair_atom[stop]
            stop += 1
            for k in range(start[a + 1] - 1, start[a] - 1, -1):
                other = members[k]
                if other <= r:
                    break
                if common[other] == 0:
                    touched[found] = other
                    found += 1
                common[other] += atom_weight[a]
        left = grown(left, count + found)
        right = grown(right, count + found)
        order = grown(order, count + found)
        for k in range(found):
            other = touched[k]
            similarity = common[other] / max(1, weight[r] + weight[other] - common[other])
            left[count], right[count] = r, other
            order[count] = max(0, min(ROUNDS - 1, int(ROUNDS * (1.0 - similarity))))
            count += 1
            common[other] = 0
        first = stop
    return left[:count], right[:count], order[:count]


@kernel
def _find(parent: Array, r: int) -> int:
    while parent[r] != r:
        parent[r] = parent[parent[r]]
        r = parent[r]
    return r


@kernel
def cluster(
    opcode: Array,
    ptr: Array,
    args: Array,
    roots: Array,
    small: Array,
    linear: Array,
    weight_by_code: Array,
    first_operation: int,
    limit: int,
    merge_limit: int,
    max_roots: int,
    max_level: int,
) -> Array:
    """Label each root with the first root of its cluster."""
    num_roots = roots.size
    label = np.arange(num_roots).astype(np.int32)
    atom_weight, weight, pair_root, pair_atom = _atoms(
        opcode, ptr, args, roots, small, linear, weight_by_code, first_operation, limit, max_level
    )
    if atom_weight.size == 0:
        return label
    left, right, order = _similar_pairs(num_roots, atom_weight, weight, pair_root, pair_atom)
    seen = np.zeros(opcode.size, dtype=np.int32)
    cone = np.empty(merge_limit + limit + 2, dtype=np.int32)
    stamp = 0
    for turn in range(ROUNDS):
        parent = label.copy()
        united = False
        for k in range(left.size):
            if order[k] == turn:
                a, b = _find(parent, left[k]), _find(parent, right[k])
                if a != b:
                    united = True
                    if a < b:
                        parent[b] = a
                    else:
                        parent[a] = b
        if not united:
            continue
        count = np.zeros(num_roots + 1, dtype=np.int64)
        changed = np.zeros(num_roots, dtype=np.bool_)
        new = np.empty(num_roots, dtype=np.int32)
        for r in range(num_roots):
            new[r] = _find(parent, r)
            count[new[r] + 1] += 1
            if new[r] != label[r]:
                changed[new[r]] = True
        for r in range(num_roots):
            count[r + 1] += count[r]
        members = np.empty(num_roots, dtype=np.int32)
        place = count[:-1].copy()
        for r in range(num_roots):
            members[place[new[r]]] = r
            place[new[r]] += 1
        for c in range(num_roots):
            if not changed[c]:
                continue
            fits = count[c + 1] - count[c] <= max_roots
            if fits:
                stamp += 1
                nodes = 0
                for k in range(count[c], count[c + 1]):
                    nodes = _cone(opcode, ptr, args, roots[members[k]], first_operation, stamp, seen, cone, nodes)
                    if nodes > merge_limit:
                        fits = False
                        break
            if fits:
                for k in range(count[c], count[c + 1]):
                    label[members[k]] = c
    return label
