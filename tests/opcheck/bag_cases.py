#!/usr/bin/env python3
"""Random cases of `embedding` and `embedding_bag` for `opcheck`.

    python3 tests/opcheck/bag_cases.py make DIR --count 2000 --seed 1      # DIR/cases, DIR/expected
    build/…/opcheck DIR/cases DIR/results
    python3 tests/opcheck/bag_cases.py compare DIR DIR/results             # exit status 1: something differs

    … make DIR --only bag_0017           one case again, by name, with the same --seed

Options are drawn over the whole square: modes, sparse, per_sample_weights, padding_idx, scale_grad_by_freq, max_norm
and norm_type, include_last_offset, shapes and types, with empty bags, no bags, tables without rows or columns, NaN and
infinities; about a sixth of the cases are invalid. Files and comparison are those of torch_cases.py.

Where embergrad and PyTorch part is read from one place, the table of docs/embeddings.md, whose column `when` says on
which cases (see `facts`). What is expected of a case:
    a row of kind `refuses` holds    a refusal; PyTorch, which may crash there, is not asked
    `accepts` or `differs`           the answer of the plain reference in this file, in float64 (NumPy); that PyTorch
                                     refuses what `accepts` says is checked
    none                             PyTorch's answer. The reference has to agree with it, refusals included
`make` exits with 1 if one of these checks fails. It needs PyTorch; `compare` does not.
"""

import argparse
import collections
import functools
import math
import pathlib
import sys
import warnings

import numpy as np

import torch_cases
from torch_cases import Case, Draw, F32, F64, I32, I64, REFUSALS, Refused, torch

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "embeddings.md"
F16, I16, I8, U8 = np.float16, np.int16, np.int8, np.uint8
BF16 = np.dtype([("bfloat16", "<u2")])  # NumPy has no such numbers, only their bits
torch_cases.DTYPES.update({"I16": I16, "I8": I8, "U8": U8})  # what embergrad has to refuse
torch_cases.NAMES.update({BF16: "BF16", np.dtype(I16): "I16", np.dtype(I8): "I8", np.dtype(U8): "U8"})
MODES = ("sum", "mean", "max")


def mode_of(args):
    return "mean" if args.get("mode") is None else args["mode"]


# --------------------------------------------------------------------------------------------------- numbers

def kind(array):
    return torch_cases.NAMES[array.dtype]


def is_16_bit(array):
    return kind(array) in ("F16", "BF16")


def is_floating(array):
    return kind(array) in ("F64", "F32", "F16", "BF16")


def widened(array):
    """float64, exactly."""
    if array.dtype == BF16:
        return (array["bfloat16"].astype(np.uint32) << 16).view(F32).astype(F64)
    return array.astype(F64)


def narrowed(array, dtype):
    """float64 to `dtype`, rounded to the nearest."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype != BF16:
            return np.asarray(array, F64).astype(dtype)
        bits = np.ascontiguousarray(array, F32).view(np.uint32).astype(np.uint64)
        rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
        result = np.zeros(np.shape(array), BF16)
        result["bfloat16"] = np.where(np.isnan(array), 0x7FC0, rounded).reshape(np.shape(array))
        return result


def to_torch(array):
    if array.dtype == BF16:
        return torch.from_numpy(array["bfloat16"].astype(I16)).view(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def from_torch(tensor):
    tensor = tensor.detach().contiguous()
    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    result = np.zeros(tuple(tensor.shape), BF16)
    result["bfloat16"] = tensor.view(torch.int16).numpy().view(np.uint16)
    return result


# ----------------------------------------------------------------------------------- where the two frameworks part

@functools.lru_cache(None)
def squares():
    """The rows of the page's table: dictionaries of its columns, `when` compiled."""
    header, rows = None, []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")] if line.startswith("| ") else None
        if cells and cells[0] == "square":
            header = cells
        elif not cells:
            header = None
        elif header and not cells[0].startswith("---"):
            row = dict(zip(header, cells))
            row["when"] = compile(row["when"].strip("`"), row["square"], "eval")
            rows.append(row)
    if not rows:
        sys.exit(f"bag_cases: no table of squares in {PAGE}")
    return rows


def matching(case):
    known = facts(case)

    def holds(row):
        if row["op"] != case.op and not (row["op"] == "both" and case.op in ("embedding", "embedding_bag")):
            return False
        try:
            return bool(eval(row["when"], {"__builtins__": {}}, known))
        except TypeError:  # a comparison with what isn't there
            return False

    return [row for row in squares() if holds(row)]


def number(value):
    return float(value) if isinstance(value, str) else value


def facts(case):
    """What `when` may ask for; None where a case has no such thing."""
    a, t = case.args, case.tensors
    index, weight, weights, offsets = (t.get(n) for n in ("input", "weight", "per_sample_weights", "offsets"))
    bags, fall, tail, lengths = None, False, False, []
    if case.op == "embedding_bag" and index.ndim == 2:
        bags, lengths = index.shape[0], [index.shape[1]]
    elif offsets is not None and offsets.ndim == 1 and offsets.dtype.kind == "i" and index.ndim == 1:
        last = a.get("include_last_offset") or False
        starts = [int(o) for o in offsets]
        bags = len(starts) - int(last)
        fall = any(b < x for x, b in zip(starts, starts[1:])) or any(o < 0 for o in starts)
        tail = bool(last and starts and starts[-1] < index.size)
        lengths = np.diff(starts if last else starts + [index.size])
    hottest = int(np.unique(index, return_counts=True)[1].max()) if index.size and index.dtype.kind in "iu" else 0
    floats = [widened(x) for x in (weight, weights) if x is not None and is_floating(x)]
    return {
        "mode": mode_of(a), "sparse": a.get("sparse") or False,
        "frequency": a.get("scale_grad_by_freq") or False, "weighted": weights is not None,
        "max_norm": number(a.get("max_norm")), "norm_type": number(a.get("norm_type")) if a.get("norm_type") is not None
        else 2.0, "padding_idx": a.get("padding_idx"), "inf": math.inf,
        "table": kind(weight), "weights": None if weights is None else kind(weights), "index": kind(index),
        "rank": index.ndim, "width": index.shape[1] if index.ndim == 2 else None, "indices": index.size, "bags": bags,
        "rows": weight.shape[0] if weight.ndim == 2 else None, "dim": weight.shape[1] if weight.ndim == 2 else None,
        "offsets_fall": fall, "tail": tail, "longest": max(lengths, default=0), "hottest": hottest,
        "has_nan": any(np.isnan(x).any() for x in floats),
        "wants_weight": "weight" in (case.requires_grad or []) and "grad_output" in t}


# --------------------------------------------------------------------------------------------- the plain reference

def need(condition, why):
    if not condition:
        raise Refused(why)


def norm(row, p):
    size = np.abs(row)
    if not size.size:
        return 0.0
    if math.isinf(p):
        return np.max(size) if p > 0 else np.min(size)
    return float(np.count_nonzero(size)) if p == 0 else np.sum(size ** p) ** (1 / p)


def renormalised(weight, rows, most, p):
    """The table with its `rows` scaled down to norm `most`, in its own type."""
    computed = F64 if weight.dtype == F64 else F32
    table = weight.copy()
    for r in np.unique(rows):
        row = widened(weight[r])
        size = computed(norm(row, p))
        if size > most:
            factor = computed(most / (float(size) + 1e-7))
            table[r] = narrowed((row.astype(computed) * factor).astype(F64), weight.dtype)
    return table


def bag_starts(case):
    index, offsets = case.tensors["input"], case.tensors.get("offsets")
    need(index.ndim in (1, 2), "rank of input")
    if index.ndim == 2:
        need(offsets is None, "offsets beside bags of one length")
        return [b * index.shape[1] for b in range(index.shape[0] + 1)]
    need(offsets is not None and offsets.ndim == 1 and kind(offsets) in ("I32", "I64"), "offsets")
    starts = [int(o) for o in offsets]
    last = case.args.get("include_last_offset") or False
    need(starts or not last, "include_last_offset without offsets")
    need(not starts or starts[0] == 0, "offsets begin with 0")
    need(all(x <= y for x, y in zip(starts, starts[1:])), "offsets fall")
    need(all(0 <= o <= index.size for o in starts), "offsets end with the input")
    need(not last or starts[-1] == index.size, "indices behind the last offset")
    need(len(starts) > last or index.size == 0, "indices without a bag")
    return starts if last else starts + [index.size]


def reference(case):
    """{name: array}, every sum in float64; Refused for what is invalid."""
    a, t = case.args, case.tensors
    index, weight, weights = t["input"], t["weight"], t.get("per_sample_weights")
    bag = case.op == "embedding_bag"
    mode = mode_of(a) if bag else "sum"
    need(mode in MODES, "mode")
    need(kind(index) in ("I32", "I64"), "type of input")
    need(weight.ndim == 2, "rank of weight")
    need(is_floating(weight) or (not bag and a.get("max_norm") is None), "type of weight")
    V, D = weight.shape
    padding = a.get("padding_idx")
    if padding is not None:
        need(-V <= padding < V, "padding_idx")
        padding %= V
    starts = bag_starts(case) if bag else list(range(index.size + 1))
    if weights is not None:
        need(weights.dtype == weight.dtype or (is_16_bit(weight) and weights.dtype == F32), "type of weights")
        need(weights.shape == index.shape, "shape of weights")
    places = index.reshape(-1).astype(I64)
    need(((places >= 0) & (places < V)).all(), "an index that is no row")
    result = {}
    if a.get("max_norm") is not None:
        most, p = number(a["max_norm"]), number(a.get("norm_type") if a.get("norm_type") is not None else 2.0)
        need(most > 0 and not math.isnan(p), "max_norm")
        weight = renormalised(weight, places, most, p)
        result["mutated.weight"] = weight
    if not is_floating(weight):
        return {"output": weight[places].reshape(index.shape + (D,))}

    computed = F64 if weight.dtype == F64 else F32
    table = widened(weight)
    s = np.ones(len(places)) if weights is None else widened(weights).reshape(-1)
    kept = np.ones(len(places), bool) if padding is None or not bag else places != padding
    bags = len(starts) - 1
    out = np.zeros((bags, D))
    bag_of = np.repeat(np.arange(bags), np.diff(starts))
    total = np.zeros(bags)
    winners = np.full((bags, D), -1)
    for b in range(bags):
        p = np.arange(starts[b], starts[b + 1])
        p = p[kept[p]]
        if not len(p):
            continue
        terms = (table[places[p]].astype(computed) * s[p, None].astype(computed)).astype(F64)
        if weights is None:
            terms = table[places[p]]
        if mode == "max":
            best = np.argmax(np.where(np.isnan(terms), np.inf, terms), axis=0)  # the first of the largest, or
            best = np.where(np.isnan(terms).any(axis=0), np.argmax(np.isnan(terms), axis=0), best)  # the first NaN
            winners[b] = p[best]
            out[b] = np.take_along_axis(terms, best[None], axis=0)[0]
            continue
        total[b] = s[p].sum()
        out[b] = terms.sum(axis=0)
        if mode == "mean":
            out[b] = out[b] / total[b] if total[b] != 0 else 0
    result["output"] = narrowed(out, weight.dtype).reshape((bags, D) if bag else index.shape + (D,))
    if "grad_output" not in t:
        return result

    go = widened(t["grad_output"]).reshape(bags, D)
    if "weight" in case.requires_grad:
        counts = np.bincount(places, minlength=V)
        grad = np.zeros((V, D))
        looked_up = np.zeros(V, bool)
        for i in np.flatnonzero(places != padding if padding is not None else np.ones(len(places), bool)):
            r, b = places[i], bag_of[i]
            looked_up[r] = D > 0  # rows without elements are not named
            share = s[i] / (counts[r] if a.get("scale_grad_by_freq") else 1)
            if mode == "mean":
                if total[b] == 0:
                    continue
                share /= total[b]
            term = share * go[b]
            grad[r] += np.where(winners[b] == i, term, 0) if mode == "max" else term
        if a.get("sparse"):
            result["grad.weight.indices"] = np.flatnonzero(looked_up).astype(I64)
            result["grad.weight.values"] = narrowed(grad[looked_up], weight.dtype)
        else:
            result["grad.weight"] = narrowed(grad, weight.dtype)
    if "per_sample_weights" in case.requires_grad:
        grad = np.zeros(len(places))
        for b in range(bags):
            p = np.arange(starts[b], starts[b + 1])
            p = p[kept[p]]
            products = go[b] * table[places[p]]
            if mode == "max":
                products = np.where(winners[b] == p[:, None], products, 0)
            dots = products.sum(axis=1)
            if mode == "mean":
                dots = (dots - (s[p] * dots).sum() / total[b]) / total[b] if total[b] != 0 else np.zeros(len(p))
            grad[p] = dots
        result["grad.per_sample_weights"] = narrowed(grad, weights.dtype).reshape(weights.shape)
    return result


# ------------------------------------------------------------------------------------------------ PyTorch's answer

def pytorch(case):
    import torch.nn.functional as F
    a = {n: number(v) if n in ("max_norm", "norm_type") else v for n, v in case.args.items() if v is not None}
    wanted = case.requires_grad or []
    t = {n: to_torch(array).requires_grad_(n in wanted) for n, array in case.tensors.items() if n != "grad_output"}
    if case.op == "embedding":
        out = F.embedding(t["input"], t["weight"], **a)
    else:
        out = F.embedding_bag(t["input"], t["weight"], t.get("offsets"), per_sample_weights=t.get("per_sample_weights"),
                              **a)
    result = {"output": out}
    if "max_norm" in a:
        result["mutated.weight"] = t["weight"].detach().clone()
    if "grad_output" in case.tensors:
        if out.requires_grad:
            out.backward(to_torch(case.tensors["grad_output"]).to(out.dtype))
        for name in wanted:
            grad = t[name].grad
            if grad is None:
                grad = torch.zeros_like(t[name])
            if grad.is_sparse:
                grad = grad.coalesce()
                result[f"grad.{name}.indices"], result[f"grad.{name}.values"] = grad.indices()[0], grad.values()
            else:
                result[f"grad.{name}"] = grad
    return {n: from_torch(x) for n, x in result.items()}


# ------------------------------------------------------------------------------------------------------ the drawing

def floats(d, shape, dtype, special=0.0, scale=1.0):
    return narrowed(d.values(shape, F64, special, scale=scale), dtype)


def draw_shape_of_table(d):
    V = d.pick([0, 1, d.integer(2, 8), d.integer(9, 60), 300], [0.03, 0.07, 0.55, 0.3, 0.05])
    D = d.pick([0, 1, 3, 15, 16, 17, 63, 64, 65, 100, 130, d.integer(2, 8)],
               [0.03, 0.1, 0.1, 0.06, 0.06, 0.06, 0.05, 0.05, 0.05, 0.05, 0.04, 0.35])
    return V, D


def draw_indices(d, shape, V, dtype=None):
    """Often a few rows many times."""
    high = d.integer(1, V) if V and d.chance(0.5) else V
    return d.indices(shape, high, dtype)


def draw_options(d, V, index):
    """Options that both ops have, valid ones."""
    args = {}
    if V and d.chance(0.4):
        args["padding_idx"] = d.integer(-V, V - 1)
        if index.size and d.chance(0.7):
            index.reshape(-1)[d.integer(0, index.size - 1)] = args["padding_idx"] % V
    if d.chance(0.3):
        args["max_norm"] = d.pick([1.0, 0.5, 3.0, float(d.r.random() + 0.01), "inf"])
    if d.chance(0.3):
        args["norm_type"] = d.pick([1, 2.0, "inf", 0, "-inf", 0.5, 3, -1, None])
    if d.chance(0.25):
        args["scale_grad_by_freq"] = d.chance(0.8)
    if d.chance(0.45):
        args["sparse"] = d.chance(0.85)
    if d.chance(0.05):
        args.setdefault(d.pick(["max_norm", "padding_idx"]), None)
    return args


def draw_table_type(d):
    return d.pick([np.dtype(F32), np.dtype(F64), np.dtype(F16), BF16], [0.45, 0.3, 0.13, 0.12])


def spoil_common(d, how, args, t, V):
    """One thing that makes any lookup invalid; False if this case has no place for it."""
    if how == "index":
        if not t["input"].size or t["input"].dtype.kind != "i":
            return False
        t["input"] = torch_cases.spoil_index(d, t["input"], V)
    elif how == "padding_idx":
        args["padding_idx"] = d.pick([V, V + 3, -V - 1])
    elif how == "weight rank":
        t["weight"] = floats(d, d.pick([[max(V, 1)], [V, 2, 2], []]), t["weight"].dtype)
        args.pop("padding_idx", None)
    elif how == "input type":
        t["input"] = t["input"].astype(d.pick([F32, F64, I16, U8]))
    elif how == "max_norm":
        args["max_norm"] = d.pick([0, -1.0, "-inf", "nan"])
    else:
        args["norm_type"], args["max_norm"] = "nan", 1.0
    return True


def draw_embedding(d):
    V, D = draw_shape_of_table(d)
    shape = d.shape(low=0, high=3, zero=0.06)
    if d.chance(0.05):
        shape = [d.pick([65, 100, 700])]
    if V == 0:
        shape = d.pick([[0], [3, 0]])
    dtype = draw_table_type(d)
    t = {"input": draw_indices(d, shape, V), "weight": floats(d, [V, D], dtype, 0.1)}
    args = draw_options(d, V, t["input"])
    if d.chance(0.04):
        t["weight"] = d.values([V, D], d.pick([I32, I64]))
    if d.chance(0.13):
        spoil_common(d, d.pick(["index", "padding_idx", "weight rank", "input type", "max_norm", "norm_type"]), args, t, V)
    return Case("embedding", args, t, [n for n in ("weight",) if is_floating(t[n])])


def draw_lengths(d, D):
    lengths = [0 if d.chance(0.2) else d.integer(1, 6) for _ in range(d.pick([0, 1, 2, 5, 30], [0.04, 0.2, 0.4, 0.3, 0.06]))]
    if lengths and d.chance(0.1):
        lengths[d.integer(0, len(lengths) - 1)] = d.pick([63, 64, 65, 100, 129, 300])
    if lengths and D <= 17 and d.chance(0.02):
        lengths[d.integer(0, len(lengths) - 1)] = d.pick([4096, 4097, 6000])
    return lengths


def draw_bag(d):
    V, D = draw_shape_of_table(d)
    dtype, args, t = draw_table_type(d), {}, {}
    if d.chance(0.35):
        shape = [d.pick([0, 1, 2, 3, 7, 40], [0.06, 0.2, 0.3, 0.3, 0.1, 0.04]),
                 d.pick([0, 1, 2, 5, 65, 130], [0.08, 0.2, 0.3, 0.3, 0.08, 0.04])]
        if V == 0:
            shape[d.integer(0, 1)] = 0
        t["input"] = draw_indices(d, shape, V)
        if d.chance(0.1):
            args["include_last_offset"] = d.chance(0.7)
    else:
        lengths = draw_lengths(d, D) if V else [0] * d.integer(0, 3)
        t["input"] = draw_indices(d, [sum(lengths)], V)
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=I64)])
        if d.chance(0.3):
            args["include_last_offset"] = True
        else:
            starts = starts[:-1]
        t["offsets"] = starts.astype(d.pick([I64, I64, I32]))
    t["weight"] = floats(d, [V, D], dtype, 0.1)
    args.update(draw_options(d, V, t["input"]))
    if d.chance(0.9):
        args["mode"] = d.pick(MODES)
    mean = mode_of(args) == "mean"
    if d.chance(0.4):
        n = t["input"].shape
        if mean:  # sums that are 0 or not whatever their order
            quarters = d.r.integers(1, 9, n) if t["input"].size > 300 or d.chance(0.6) else d.r.integers(-8, 9, n)
            weights = narrowed(quarters / 4, dtype)
        else:
            weights = floats(d, n, dtype, 0.08)
        if is_16_bit(t["weight"]) and d.chance(0.3):
            weights = narrowed(widened(weights), F32)
        t["per_sample_weights"] = weights
    if d.chance(0.17):
        spoil_bag(d, args, t, V)
    return Case("embedding_bag", args, t,
                d.subset([n for n in ("weight", "per_sample_weights") if n in t and is_floating(t[n])]))


def spoil_bag(d, args, t, V):
    how = d.pick(["index", "padding_idx", "weight rank", "input type", "max_norm", "norm_type", "mode", "offsets",
                  "offsets", "offsets", "offsets", "offsets shape", "weights", "input rank", "table", "swapped", "tail",
                  "no bags"])
    offsets, weights = t.get("offsets"), t.get("per_sample_weights")
    if how == "mode":
        args["mode"] = d.pick(["median", "SUM", "", 2])
    elif how == "offsets" and offsets is not None:
        o, N = offsets.astype(I64), t["input"].size
        which = d.pick(["first", "past", "fall", "negative", "huge", "missing", "type"])
        if which == "missing" or not o.size:
            t.pop("offsets")
        elif which == "type":
            t["offsets"] = o.astype(F32)
        else:
            place = {"first": 0, "past": o.size - 1}.get(which, d.integer(0, o.size - 1))
            o[place] = {"first": 1, "past": N + d.integer(1, 9), "fall": max(0, int(o[place]) - d.integer(1, 4)),
                        "negative": -d.integer(1, 9), "huge": 2**31 - 1}[which]
            t["offsets"] = o.astype(offsets.dtype)
    elif how == "offsets shape":
        t["offsets"] = np.zeros(d.pick([[], [1, 1], [2, 1]]), I64) if offsets is not None else np.zeros(1, I64)
    elif how == "weights":
        given = weights if weights is not None else narrowed(np.ones(t["input"].shape), t["weight"].dtype)
        if d.chance(0.5):
            t["per_sample_weights"] = narrowed(np.ones(d.pick([[], [given.size + 1], list(given.shape) + [1]])), given.dtype)
        else:
            t["per_sample_weights"] = narrowed(widened(given), F64 if t["weight"].dtype != F64 else F32)
    elif how == "input rank":
        t["input"] = d.indices(d.pick([[], [1, 2, 2]]), V, I64)
        t.pop("per_sample_weights", None)
    elif how == "table":
        t["weight"] = d.values(t["weight"].shape, d.pick([I32, I64]))
    elif how == "swapped" and t["input"].ndim == 1:
        t["input"], t["weight"] = np.ones([4, 2], F32), d.indices([3], 4, I64)
        t["offsets"] = np.zeros(1, I64)
    elif how == "tail" and offsets is not None and args.get("include_last_offset") and offsets.size > 1:
        t["offsets"] = np.minimum(offsets, offsets[-1] - 1 if offsets[-1] else 0)
    elif how == "no bags" and offsets is not None:
        t["offsets"] = offsets[:1] if args.get("include_last_offset") else offsets[:0]
    else:
        spoil_common(d, how if how in ("index", "padding_idx", "weight rank", "input type", "max_norm") else "norm_type",
                     args, t, V)


FAMILIES = {"bag": draw_bag, "table": draw_embedding}


def draw_case(family, number_, seed):
    d = Draw(seed, "bag_cases " + family, number_)
    case = FAMILIES[family](d)
    if d.chance(0.12) or not case.requires_grad:
        case.requires_grad = case.requires_grad if d.chance(0.5) else []
        return case
    try:
        shape = reference(case)["output"].shape
    except REFUSALS:
        shape = (2, 3)  # refused before any gradient could flow
    weight = case.tensors["weight"]
    dtype = F32 if is_floating(weight) and is_16_bit(weight) and d.chance(0.3) else weight.dtype
    case.tensors["grad_output"] = floats(d, shape, dtype if is_floating(weight) else F32, 0.07)
    return case


# ------------------------------------------------------------------------------------------------------ the answers

class Mistaken(Exception):
    """The table or the reference does not say what PyTorch does."""


def parts(expected, got, case):
    """What differs between two answers, as `compare` would say."""
    shown = lambda answer: {n: (kind(x), widened(x) if x.dtype == BF16 else x) for n, x in answer.items()}
    return torch_cases.differences(case.op, shown(case.tensors), shown(expected), shown(got))


def attempt(function, case):
    with np.errstate(all="ignore"):
        try:
            return function(case), None
        except REFUSALS as error:
            return None, f"{type(error).__name__}: " + (str(error).strip() or "refused").splitlines()[0][:200]


def answer(case):
    """(tensors or None, why it is refused, squares)"""
    rows = matching(case)
    names = [row["square"] for row in rows]
    if any(row["kind"] == "refuses" for row in rows):
        return None, "not asked", names
    ours, refusal = attempt(reference, case)
    theirs, why = attempt(pytorch, case)
    if any(row["kind"] == "accepts" for row in rows):
        if theirs is not None:
            raise Mistaken(f"PyTorch accepts, but the page says that it refuses: {names}")
        return ours, refusal, names
    if (ours is None) != (theirs is None):
        raise Mistaken(f"the reference: {refusal or 'accepts'}, PyTorch: {why or 'accepts'}; squares {names}")
    if rows:
        return ours, refusal, names
    if theirs is not None:
        found = parts(theirs, ours, case)
        if found:
            raise Mistaken(f"the reference differs from PyTorch: {found[:3]}")
    return theirs, why, names


def write_case(directory, name, case):
    """Writes the pair of files. Returns whether it is refused, and the squares."""
    directory = pathlib.Path(directory)
    for part in ("cases", "expected"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    for old in (f"{name}.safetensors", f"{name}.error"):
        (directory / "expected" / old).unlink(missing_ok=True)
    torch_cases.write_tensors(directory / "cases" / f"{name}.safetensors", case.tensors, {"case": case.to_json()})
    tensors, why, names = answer(case)
    kinds = {row["square"]: row["kind"] for row in squares()}
    mark = "; ".join(f"{kinds[n]}: {n}" for n in names)
    if tensors is None:
        (directory / "expected" / f"{name}.error").write_text(f"any\n{mark}\nPyTorch: {why}\n")
    else:
        torch_cases.write_tensors(directory / "expected" / f"{name}.safetensors", tensors,
                                  {"embergrad": mark} if mark else None)
    return tensors is None, names


def make(options):
    if torch is None:
        sys.exit("bag_cases: make needs PyTorch")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    tally, mistakes = collections.Counter(), []
    for i in range(options.count):
        family = "bag" if i % 4 < 3 else "table"
        name = f"{family}_{i:05d}"
        if options.only and name not in options.only:
            continue
        case = draw_case(family, i, options.seed)
        try:
            refused, names = write_case(options.dir, name, case)
        except Mistaken as mistake:
            (pathlib.Path(options.dir) / "cases" / f"{name}.safetensors").unlink()
            mistakes.append(f"{name}: {mistake}\n    {case.to_json()} "
                            f"{ {n: (kind(x), x.shape) for n, x in case.tensors.items()} }")
            continue
        tally.update([f"{family}: {'refused' if refused else 'answered'}"] + [f"  square {n}" for n in names])
    print(f"PyTorch {torch.__version__}, seed {options.seed}, {options.count} cases")
    for key in sorted(tally):
        print(f"{key:<34}{tally[key]:>7}")
    if mistakes:
        print(f"\n{len(mistakes)} cases whose answer is in doubt:\n" + "\n".join(mistakes[:20]))
    return 1 if mistakes else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("make", help="draw cases and their answers")
    one.add_argument("dir", metavar="DIR")
    one.add_argument("--count", type=int, default=1000, metavar="N")
    one.add_argument("--seed", type=int, default=0, metavar="S")
    one.add_argument("--only", action="append", metavar="NAME", help="only this case (may be repeated)")
    two = commands.add_parser("compare", help="compare opcheck's results with the answers")
    two.add_argument("dir", metavar="DIR")
    two.add_argument("results", metavar="RESULTS")
    options = parser.parse_args()
    return {"make": make, "compare": torch_cases.compare}[options.command](options)


if __name__ == "__main__":
    sys.exit(main())
