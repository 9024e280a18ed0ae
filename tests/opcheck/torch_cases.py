#!/usr/bin/env python3
"""Random cases for `opcheck`, answered by PyTorch, and the comparison of the two.

Needs Python 3.9, PyTorch 2.x and NumPy; nothing in the build or in the test suite needs this file.

    python3 tests/opcheck/torch_cases.py make DIR --count 200 --seed 1      # DIR/cases, DIR/expected
    build/…/opcheck DIR/cases DIR/results
    python3 tests/opcheck/torch_cases.py compare DIR DIR/results            # exit status 1: something differs

    … make DIR --op lstm --op add        only these ops (the cases of an op don't depend on what else is drawn)
    … make DIR --only lstm_0017          one case again, by name, with the same --seed
    … show FILE.safetensors              one case, expected answer or result as text
    … list                               the ops that are drawn

What is written: `cases/NAME.safetensors` in opcheck's form, and for each `expected/NAME.safetensors`
(`output…`, `grad.…`, `param.K`, `state.K.…`) or `expected/NAME.error`, whose first line is `any`: refused,
whatever the class. All numbers come from (seed, op, number of the case), so the same call writes the same
cases; PyTorch's answers may differ in the last bits between machines.

Where embergrad knowingly differs from PyTorch, the answer written is embergrad's, worked out with PyTorch, and
marked: in the metadata of an expected file (key `embergrad`) or on the second line of an `.error`. The marks:
    accepts: …       PyTorch refuses, embergrad gives the values in the file (int32 targets, sequences of length
                     zero, no time steps)
    refuses: …       PyTorch gives something meaningless, embergrad refuses
    may refuse: …    embergrad is free: either an error or exactly these values
    may accept: …    embergrad is free: an error or any values
A mean loss without a single counted target is no difference: NaN with a zero gradient, as in PyTorch.

What `compare` asks: the same tensor names, shapes and dtypes; values to 2e-5 (F32) or 1e-9 (F64), relative and
absolute: |got - expected| <= tolerance * (1 + |expected|); integers exactly; NaN equals NaN, an infinity itself.
A case that mixes F32 and F64 is held to 2e-5 throughout, because part of its numbers passed through float32 (cat
and stack, which only copy, and optimizers, whose step counter is always F32, are held to the dtype). An expected
error has to be an `.error` whose first line isn't `Unsupported`. `Unsupported` is counted apart and is never a
difference.
"""

import argparse
import json
import math
import pathlib
import struct
import sys
import warnings
import zlib

import numpy as np

try:
    import torch
    import torch.nn.functional as F
except ImportError:  # compare, show and list work without it
    torch = None

# ---------------------------------------------------------------------------------------------- safetensors

DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32}
NAMES = {np.dtype(v): k for k, v in DTYPES.items()}


def write_tensors(path, tensors, metadata=None):
    """Own writer, because the bytes must not depend on the library's version or on a hash order."""
    header = {"__metadata__": metadata} if metadata else {}
    blobs, end = [], 0
    for name in sorted(tensors, key=lambda n: (-tensors[n].dtype.itemsize, n)):  # so that every start is aligned
        blob = np.array(tensors[name], order="C").tobytes()
        header[name] = {"dtype": NAMES[tensors[name].dtype], "shape": list(tensors[name].shape),
                        "data_offsets": [end, end + len(blob)]}
        end += len(blob)
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def read_tensors(path):
    """name -> (dtype name, array), and the metadata."""
    data = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + o for o in entry["data_offsets"])
        if entry["dtype"] == "BF16":
            array = (np.frombuffer(data[begin:end], np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            array = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        tensors[name] = (entry["dtype"], array.reshape(entry["shape"]))
    return tensors, metadata


# ----------------------------------------------------------------------------------------- a case, its answer

class Refused(Exception):
    """The case is invalid; `mark` says where embergrad and PyTorch part."""

    def __init__(self, why, mark=None):
        super().__init__(why)
        self.mark = mark


class Case:
    """tensors: name -> numpy array. intent: 'valid', 'invalid' or 'any', checked against PyTorch's answer.
    mark: what embergrad may do otherwise ('may refuse: …', 'may accept: …')."""

    def __init__(self, op, args=None, tensors=None, requires_grad=None, intent="valid", mark=None):
        self.op, self.args, self.tensors = op, args or {}, tensors or {}
        self.requires_grad, self.intent, self.mark = requires_grad, intent, mark

    def to_json(self):
        return json.dumps({"op": self.op, "args": self.args, "requires_grad": self.requires_grad or []})


REFUSALS = (RuntimeError, IndexError, ValueError, TypeError, AssertionError, NotImplementedError, Refused)


def floating(array):
    return array.dtype in (np.float32, np.float64)


def answer(case):
    """PyTorch's answer: ({name: array}, mark) or an exception of REFUSALS."""
    inputs, grad_outputs = {}, {}
    for name, array in case.tensors.items():
        tensor = torch.from_numpy(np.array(array))  # a copy: never the caller's memory
        if name == "grad_output" or name.startswith("grad_output."):
            grad_outputs["output" + name[len("grad_output"):]] = tensor
        else:
            inputs[name] = tensor.requires_grad_(name in (case.requires_grad or []))
    outputs, mark = OPS[case.op][0](case.args, inputs)
    result = dict(outputs)
    if grad_outputs:
        wanted = [n for n in inputs if n in case.requires_grad]
        pairs = [(outputs[n], g) for n, g in grad_outputs.items() if outputs[n].requires_grad]
        for out, gradient in pairs:
            if out.shape != gradient.shape or out.dtype != gradient.dtype:
                raise Refused("grad_output does not match the output")
        grads = torch.autograd.grad([o for o, _ in pairs], [inputs[n] for n in wanted], [g for _, g in pairs],
                                    allow_unused=True) if pairs else [None] * len(wanted)
        for name, gradient in zip(wanted, grads):
            result["grad." + name] = torch.zeros_like(inputs[name]) if gradient is None else gradient
    return {n: t.detach().contiguous().numpy() for n, t in result.items()}, mark


# The reference of each op: (args, tensors) -> ({output name: tensor}, mark)

def plain(function):
    return lambda args, t: ({"output": function(args, t)}, None)


def chosen(args, *names):
    return {n: args[n] for n in names if n in args}


def ref_softmax(function):
    def run(args, t):
        return function(t["input"], **chosen(args, "dim"))
    return plain(run)


def ref_loss(function):
    def run(args, t):
        target, mark = t["target"], None
        if target.dtype.is_floating_point:
            raise Refused("class probabilities", "refuses: targets are class indices")
        if target.dtype == torch.int32:
            target, mark = target.long(), "accepts: int32 targets"
        if args.get("label_smoothing", 0) < 0:
            raise Refused("label_smoothing < 0", "refuses: PyTorch ignores a negative label_smoothing")
        options = chosen(args, "ignore_index", "reduction", "label_smoothing")
        return {"output": function(t["input"], target, t.get("weight"), **options)}, mark
    return run


def ref_reduce(function):
    def run(args, t):
        options = chosen(args, "dim", "keepdim")
        if not options:
            return function(t["input"])
        options.setdefault("dim", None)
        return function(t["input"], **options)
    return plain(run)


def ref_gather_rows(args, t):
    index = t["index"]
    if t["input"].dim() == 0:
        raise Refused("gather_rows of a scalar")
    if index.dtype not in (torch.int32, torch.int64):
        raise Refused("index dtype")
    rows = torch.index_select(t["input"], 0, index.reshape(-1))
    return rows.reshape(tuple(index.shape) + tuple(t["input"].shape[1:]))


def operand(args, t, name):
    """A tensor, or the number of that name among the arguments ("inf" and so on as opcheck writes them)."""
    value = t[name] if name in t else args.get(name)
    return float(value) if isinstance(value, str) else value


def mask_of(tensor):
    """embergrad's masks are integers."""
    if tensor.dtype not in (torch.int32, torch.int64):
        raise Refused("a mask of floating numbers")
    return tensor != 0


def ref_pow(args, t):
    return torch.pow(operand(args, t, "self" if "self" in args else "input"), operand(args, t, "exponent"))


def ref_clamp(args, t):
    return torch.clamp(t["input"], operand(args, t, "min"), operand(args, t, "max"))


def ref_where(args, t):
    return torch.where(mask_of(t["condition"]), operand(args, t, "input"), operand(args, t, "other"))


def ref_masked_fill(args, t):
    return torch.masked_fill(t["input"], mask_of(t["mask"]), operand(args, t, "value"))


def ref_extreme(function):
    def run(args, t):
        if "other" in t:
            return {"output": function(t["input"], t["other"])}, None
        if args.get("dim") is None:
            return {"output": function(t["input"], **chosen(args, "keepdim"))}, None
        found = function(t["input"], **chosen(args, "dim", "keepdim"))
        return {"output.values": found.values, "output.indices": found.indices}, None
    return run


def ref_topk(args, t):
    if t["input"].dim() == 0 and args["k"] == 0:
        raise Refused("no element of a scalar", "refuses: PyTorch gives a scalar's only element for k = 0")
    found = torch.topk(t["input"], **chosen(args, "k", "dim", "largest", "sorted"))
    return {"output.values": found.values, "output.indices": found.indices}, None


def ref_logsumexp(args, t):
    x, dim, keepdim = t["input"], args["dim"], args.get("keepdim", False)
    if dim == [] and not keepdim and x.dim():
        return {"output": torch.logsumexp(x, list(range(x.dim())))}, "accepts: an empty list of dimensions without keepdim"
    return {"output": torch.logsumexp(x, dim, keepdim)}, None


def ref_weighted(function):
    def run(args, t):
        options = {n: t[n] for n in ("weight", "pos_weight") if n in t}
        return function(t["input"], t["target"], **options, **chosen(args, "reduction"))
    return plain(run)


def ref_join(function):
    def run(args, t):
        parts = [t[n] for n in sorted((n for n in t if n.startswith("input.")), key=lambda n: int(n[6:]))]
        return function(parts, **chosen(args, "dim"))
    return plain(run)


def ref_lstm(args, t):
    hidden, layers = args["hidden_size"], args.get("num_layers", 1)
    bias, batch_first = args.get("bias", True), args.get("batch_first", False)
    directions, proj = 2 if args.get("bidirectional", False) else 1, args.get("proj_size", 0)
    if t["weight_ih_l0"].dim() != 2:
        raise Refused("weight_ih_l0 is not a matrix")
    x = t["input"]
    module = torch.nn.LSTM(t["weight_ih_l0"].shape[1], hidden, layers, bias, batch_first,
                           bidirectional=directions == 2, proj_size=proj, dtype=t["weight_ih_l0"].dtype)
    shapes = {n: p.shape for n, p in module.named_parameters()}
    given = {n for n in t if n.startswith(("weight_", "bias_"))}
    if given != set(shapes) or any(t[n].shape != s or t[n].dtype != t["weight_ih_l0"].dtype for n, s in shapes.items()):
        raise Refused("parameters do not fit")
    module._flat_weights = [t[n] for n in module._flat_weights_names]
    state = (t["h_0"], t["c_0"]) if "h_0" in t or "c_0" in t else None
    named = lambda output, h_n, c_n: {"output.output": output, "output.h_n": h_n, "output.c_n": c_n}
    width = directions * (proj or hidden)

    def start(batch, size):
        return x.new_zeros(layers * directions, batch, size)

    def fits(batch):
        expected = [(layers * directions, batch, proj or hidden), (layers * directions, batch, hidden)]
        if x.dtype != module._flat_weights[0].dtype or x.shape[-1] != module.input_size:
            raise Refused("the input does not fit")
        for given, shape in zip(state or (), expected):
            if tuple(given.shape) != shape or given.dtype != x.dtype:
                raise Refused("h_0 or c_0 does not fit")

    if "lengths" not in t:
        time = 0 if x.dim() == 2 or not batch_first else 1
        if x.dim() in (2, 3) and x.shape[time] == 0:  # PyTorch refuses
            squeeze = x.dim() == 2
            if squeeze:
                x = x.unsqueeze(1)
                state = state and tuple(s.unsqueeze(1) for s in state)
            batch = x.shape[1 - time]
            fits(batch)
            h_n, c_n = state or (start(batch, proj or hidden), start(batch, hidden))
            shape = (batch, 0, width) if time == 1 else (0, batch, width)
            outputs = (x.new_zeros(shape) + 0 * x.sum(), h_n.clone(), c_n.clone())
            return named(*(o.squeeze(1) for o in outputs) if squeeze else outputs), "accepts: no time steps"
        output, (h_n, c_n) = module(x, state)
        return named(output, h_n, c_n), None

    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
    lengths, sorted_ = t["lengths"], args.get("enforce_sorted", True)
    if x.dim() != 3 or lengths.dim() != 1:
        raise Refused("rank with lengths")
    batch, steps = (x.shape[0], x.shape[1]) if batch_first else (x.shape[1], x.shape[0])
    if lengths.shape[0] != batch:
        raise Refused("one length per sequence", "refuses: PyTorch drops sequences when there are fewer lengths")
    if batch == 0:
        raise Refused("no sequences", "may accept: a packed batch without sequences")
    if (lengths < 0).any() or (lengths > steps).any():
        raise Refused("a length outside the input")
    if sorted_ and (lengths[1:] > lengths[:-1]).any():
        raise Refused("lengths must fall")
    fits(batch)
    keep = torch.nonzero(lengths > 0)[:, 0]
    if len(keep) == batch:
        packed = pack_padded_sequence(x, lengths, batch_first, sorted_)
        output, (h_n, c_n) = module(packed, state)
        return named(pad_packed_sequence(output, batch_first)[0], h_n, c_n), None
    # A sequence of length zero: its state passes through, its output is padding.
    h_n, c_n = (s.clone() for s in (state or (start(batch, proj or hidden), start(batch, hidden))))
    output = x.new_zeros((batch, int(lengths.max()), width) if batch_first else (int(lengths.max()), batch, width))
    if len(keep):
        axis = 0 if batch_first else 1
        some = pack_padded_sequence(x.index_select(axis, keep), lengths[keep], batch_first, sorted_)
        some, (h_some, c_some) = module(some, state and tuple(s.index_select(1, keep).contiguous() for s in state))
        output = output.index_copy(axis, keep, pad_packed_sequence(some, batch_first)[0])
        h_n, c_n = h_n.index_copy(1, keep, h_some), c_n.index_copy(1, keep, c_some)
    return named(output, h_n, c_n), "accepts: sequences of length zero"


# ------------------------------------------------------------------------------------------------- the drawing

F32, F64, I64, I32 = np.float32, np.float64, np.int64, np.int32


class Draw:
    """A generator with the few ways of drawing that the ops share."""

    def __init__(self, seed, op, number):
        self.r = np.random.default_rng([seed, zlib.crc32(op.encode()), number])

    def chance(self, p):
        return self.r.random() < p

    def integer(self, low, high):
        """low <= n <= high"""
        return int(self.r.integers(low, high + 1))

    def pick(self, items, p=None):
        return items[int(self.r.choice(len(items), p=p))]

    def size(self, zero=0.05):
        u = self.r.random()
        return 0 if u < zero else 1 if u < zero + 0.12 else self.pick([31, 32, 33]) if u < zero + 0.18 else \
            self.integer(2, 7)

    def shape(self, rank=None, zero=0.05, low=0, high=4):
        rank = self.pick(range(low, high + 1)) if rank is None else rank
        while True:
            shape = [self.size(zero) for _ in range(rank)]
            if math.prod(shape) <= 3000:
                return shape

    def float_dtype(self):
        return self.pick([F32, F64])

    def any_dtype(self):
        return self.pick([F32, F64, I64, I32])

    def values(self, shape, dtype, special=0.0, away=False, scale=1.0):
        """Normal numbers, or small integers; special: chance that inf, nan and zeros are among them."""
        if dtype in (I64, I32):
            return self.r.integers(-6, 7, shape).astype(dtype)
        array = np.asarray(self.r.standard_normal(shape) * scale)
        if away:  # not close to zero: for divisors
            array = np.asarray(np.where(array < 0, -1, 1) * (0.4 + np.abs(array)))
        if special and self.chance(special) and array.size:
            flat = array.reshape(-1)
            for _ in range(self.integer(1, 3)):
                flat[self.integer(0, array.size - 1)] = self.pick([0.0, -0.0, np.inf, -np.inf, np.nan, 90.0, -90.0])
            array = flat.reshape(array.shape)
        return array.astype(dtype)

    def indices(self, shape, high, dtype=None):
        """high == 0 only makes sense for an empty shape."""
        return self.r.integers(0, max(high, 1), shape).astype(dtype or self.pick([I64, I64, I32]))

    def subset(self, names, all_=0.7):
        if self.chance(all_):
            return list(names)
        return [n for n in names if self.chance(0.6)]

    def broken(self, p=0.12):
        return self.chance(p)


def spoil_index(d, array, high):
    array = array.copy()
    array.reshape(-1)[d.integer(0, array.size - 1)] = d.pick([high, high + 5, -1, -high - 1, 2**31 - 1])
    return array


def draw_embedding(d):
    V, D = d.size(0.04), d.size(0.06)
    shape = d.shape(low=0, high=3, zero=0.08)
    if V == 0:
        shape = [0] if d.chance(0.5) else [3, 0]
    dtype, args, intent, mark = d.float_dtype(), {}, "valid", None
    tensors = {"input": d.indices(shape, V), "weight": d.values([V, D], dtype)}
    if V and d.chance(0.5):
        args["padding_idx"] = d.integer(-V, V - 1)
        if tensors["input"].size and d.chance(0.7):  # make sure that it occurs
            tensors["input"].reshape(-1)[d.integer(0, tensors["input"].size - 1)] = args["padding_idx"] % V
    elif d.chance(0.3):
        args["padding_idx"] = None
    if d.chance(0.3):
        args.update(d.pick([{"sparse": False}, {"max_norm": None}, {"max_norm": None, "norm_type": 2.0, "sparse": False},
                            {"scale_grad_by_freq": False}]))
    if d.broken(0.2):
        intent = "invalid"
        how = d.pick(["index", "padding_idx", "rank", "dtype"])
        if how == "index" and tensors["input"].size:
            tensors["input"] = spoil_index(d, tensors["input"], V)
        elif how == "padding_idx":
            args["padding_idx"] = d.pick([V, V + 3, -V - 1])
            if V == 0:
                intent, mark = "any", "may refuse: padding_idx of a table without rows"
        elif how == "rank":
            tensors["weight"] = d.values(d.pick([[V], [V, 2, 2], []]), dtype)
            args.pop("padding_idx", None)
        else:
            tensors["input"] = tensors["input"].astype(d.float_dtype())
    return Case("embedding", args, tensors, ["weight"], intent, mark)


def draw_linear(d):
    dtype, n_in, n_out = d.float_dtype(), d.size(), d.size()
    lead = d.shape(low=0, high=3, zero=0.08)
    while math.prod(lead) * max(n_in, n_out) > 6000:
        lead = d.shape(low=0, high=2)
    one = d.chance(0.15)
    tensors = {"input": d.values(lead + [n_in], dtype), "weight": d.values([n_in] if one else [n_out, n_in], dtype)}
    args, intent, mark = {}, "valid", None
    if d.chance(0.65):
        tensors["bias"] = d.values([] if one else [n_out], dtype)
        if one and len(lead) == 1:  # PyTorch: "mat2 must be a matrix", for this rank of the input alone
            mark, intent = "may accept: a bias beside a 1-D weight", "any"
        if not one and d.chance(0.05):
            tensors["bias"], mark = d.values(d.pick([[1], []]), dtype), "may refuse: a bias that is not (out_features)"
    elif d.chance(0.3):
        args["bias"] = None
    if d.broken():
        intent, mark = "invalid", None
        how = d.pick(["features", "bias", "dtype", "rank", "scalar"])
        if how == "features":
            tensors["weight"] = d.values([n_in + 1] if one else [n_out, n_in + 2], dtype)
        elif how == "bias":
            tensors["bias"] = d.values([n_out + 2], dtype)
            if one:
                tensors["bias"], tensors["weight"] = d.values([4], dtype), d.values([n_out, n_in], dtype)
            if n_out + 2 == 1 or n_out == 1:
                mark, intent = "may refuse: a bias that is not (out_features)", "any"
        elif how == "dtype":
            tensors["weight"] = tensors["weight"].astype(F32 if dtype == F64 else F64)
            if not tensors["input"].size:
                mark, intent = "may accept: nothing to multiply", "any"
        elif how == "rank":
            tensors["weight"], mark = d.values([2, n_out, n_in], dtype), None
            intent = "invalid"
        else:
            tensors["input"] = d.values([], dtype)
            intent = "any" if one else "invalid"
            if one:
                mark = "may refuse: a scalar has no features"
    return Case("linear", args, tensors, None, intent, mark)


def draw_softmax(op):
    def draw(d):
        dtype, shape = d.float_dtype(), d.shape(low=0, high=4, zero=0.06)
        rank = max(len(shape), 1)
        args, intent, mark = {"dim": d.integer(-rank, rank - 1)}, "valid", None
        x = d.values(shape, dtype, special=0.0, scale=d.pick([1.0, 5.0, 30.0], [0.7, 0.2, 0.1]))
        if x.size and d.chance(0.08):
            x.reshape(-1)[d.integer(0, x.size - 1)] = d.pick([-np.inf, -np.inf, np.inf, np.nan])
        if d.chance(0.04):
            args, mark = d.pick([{}, {"dim": None}]), "may refuse: no dim"
        if d.broken():
            intent, mark = "invalid", None
            if d.chance(0.6):
                args = {"dim": d.pick([rank, rank + 2, -rank - 1])}
            else:
                x, args = d.values(shape, d.pick([I64, I32])), {"dim": 0}
                if not x.size:
                    intent, mark = "any", "may accept: an empty tensor of integers"
        return Case(op, args, {"input": x}, None, intent, mark)
    return draw


def draw_loss(op):
    def draw(d):
        dtype, intent, mark, args = d.float_dtype(), "valid", None, {}
        C, kind = max(1, d.size(0)), d.pick(["C", "NC", "NCd"], [0.15, 0.5, 0.35])
        if kind == "NCd":
            C = min(C, 7)
        N = d.size(0.06) if kind == "NC" else d.integer(1, 4)
        rest = d.shape(rank=d.integer(1, 2), zero=0.03) if kind == "NCd" else []
        while N * C * math.prod(rest) > 3000:
            rest = [d.integer(1, 4)]
        lead = [] if kind == "C" else [N]
        x = d.values(lead + [C] + rest, dtype, scale=d.pick([1.0, 4.0]))
        if op == "nll_loss" and d.chance(0.7) and x.size:
            axis = 0 if kind == "C" else 1
            x = (x - np.log(np.exp(x.astype(F64)).sum(axis, keepdims=True))).astype(dtype)
        elif op == "cross_entropy" and d.chance(0.06) and x.size:
            x.reshape(-1)[d.integer(0, x.size - 1)] = -np.inf
        y = d.indices(lead + rest, C, I64 if d.chance(0.8) else I32)
        if d.chance(0.5):
            args["reduction"] = d.pick(["none", "mean", "sum"])
        if d.chance(0.4):
            args["ignore_index"] = d.pick([-100, -1, 0, C - 1, d.integer(0, C - 1), -7])
        ignored = args.get("ignore_index", -100)
        if y.size and d.chance(0.4):
            y = np.asarray(np.where(d.r.random(y.shape) < d.pick([0.3, 0.3, 1.0]), ignored, y)).astype(y.dtype)
        tensors = {"input": x, "target": y}
        if d.chance(0.4):
            tensors["weight"] = np.abs(d.values([C], dtype)) + dtype(0.1)
            if d.chance(0.15):
                tensors["weight"][d.integer(0, C - 1)] = 0
        elif d.chance(0.2):
            args["weight"] = None
        if op == "cross_entropy" and d.chance(0.45):
            args["label_smoothing"] = d.pick([0.0, 0.1, 0.3, 1.0, float(d.r.random())])
            if np.isinf(x).any():
                args["label_smoothing"] = 0.0
        if kind == "C" and d.chance(0.1):
            tensors["target"], mark, intent = y.reshape(1), "may refuse: one target as (1)", "any"
        if d.broken(0.18):
            intent, mark = "invalid", None
            how = d.pick(["range", "reduction", "shape", "weight", "wdtype", "smoothing", "float", "rank", "int"])
            if how == "range" and y.size:
                bad = d.pick([C, -1, C + 9, -99, -C])
                tensors["target"] = y = y.copy()
                if bad == ignored:
                    bad = C + 1
                y.reshape(-1)[d.integer(0, y.size - 1)] = bad
            elif how == "reduction":
                args["reduction"] = d.pick(["avg", "", "Mean"])
            elif how == "weight":
                tensors["weight"] = d.values(d.pick([[C + 1], [1, C], []]), dtype)
            elif how == "wdtype":
                tensors["weight"] = np.abs(d.values([C], F32 if dtype == F64 else F64)) + 1
            elif how == "smoothing" and op == "cross_entropy":
                args["label_smoothing"] = d.pick([1.5, -0.1, -1e-9])
            elif how == "float":
                tensors["target"] = np.abs(d.values(x.shape, dtype))
            elif how == "rank":
                tensors["input"] = d.values([], dtype)
            elif how == "int":
                tensors["input"] = d.values(x.shape, I64)
            else:
                tensors["target"] = d.indices(d.pick([[N + 1], lead + rest + [2], [N + 3] + rest]), C, I64)
            if not y.size or not x.size:
                intent, mark = "any", "may accept: there is nothing to check"
        return Case(op, args, tensors, ["input"], intent, mark)
    return draw


def draw_unary(op):
    def draw(d):
        dtype = d.pick([F32, F64, I64, I32], [0.42, 0.42, 0.08, 0.08])
        x = d.values(d.shape(), dtype, special=0.25)
        if op in ("log", "sqrt") and dtype in (F32, F64) and d.chance(0.85):
            x = np.asarray(np.abs(x)).astype(dtype)
        intent = "any" if op == "logsigmoid" and dtype in (I64, I32) else "valid"
        return Case(op, {}, {"input": x}, None, intent)
    return draw


def two_shapes(d, high=4):
    full = d.shape(high=high, zero=0.05)

    def part():
        shape = [1 if d.chance(0.25) else n for n in full]
        return shape[d.integer(0, len(shape)):] if d.chance(0.3) else shape

    a, b = part(), part()
    if d.chance(0.5):
        a = full
    return (a, b) if d.chance(0.5) else (b, a)


def draw_binary(op):
    def draw(d):
        a, b = two_shapes(d)
        first = d.float_dtype()
        types = (first, first) if d.chance(0.55) else (d.any_dtype(), d.any_dtype())
        intent = "valid"
        if d.broken():
            a, b = [2, 3, 4], d.pick([[3], [2, 4], [2, 3, 4, 1], [3, 3, 4], [0, 4]])
            if d.chance(0.5):
                a, b = b, a
            intent = "any"
        special = 0.1 if op != "div" else 0.0
        away = op == "div" and d.chance(0.9)
        return Case(op, {}, {"input": d.values(a, types[0], special), "other": d.values(b, types[1], special, away)},
                    None, intent)
    return draw


def number(d, dtype):
    """A bound or value beside a tensor: of its kind, or of the other."""
    return d.pick([d.integer(-2, 2), round(float(d.r.standard_normal()), 3)], [0.6, 0.4] if dtype in (I64, I32) else [0.3, 0.7])


def draw_beside_number(op):
    def draw(d):
        x = d.values(d.shape(), d.any_dtype(), special=0.1)
        return Case(op, {"other": d.pick([number(d, x.dtype.type), "inf", "nan", 0], [0.8, 0.05, 0.05, 0.1])}, {"input": x})
    return draw


def draw_pow(d):
    dtype = d.pick([F32, F64, I64, I32], [0.4, 0.4, 0.1, 0.1])
    kind, intent, mark = d.pick(["scalar", "base", "tensors"], [0.45, 0.2, 0.35]), "valid", None
    if kind == "scalar":
        e = d.pick([0, 1, 2, 3, -1, -2, 0.5, -0.5, 2.5, 0.0, 1.0, 4, -1.5, 5.0, "inf"])
        x = d.values(d.shape(), dtype, special=0.2)
        if dtype in (F32, F64) and d.chance(0.5):
            x = np.asarray(np.abs(x) + dtype(0.1)).astype(dtype)
        if dtype in (I64, I32) and isinstance(e, int) and e < 0:
            intent = "any" if not x.size else "invalid"
            mark = "may refuse: nothing to raise" if not x.size else None
        return Case("pow", {"exponent": e}, {"input": x}, None, intent, mark)
    if kind == "base":
        base = d.pick([2, 3, 0.5, 1, 0, 0.0, 2.5, 1.0, -2])
        return Case("pow", {"self": base}, {"exponent": d.values(d.shape(), dtype, special=0.1)})
    a, b = two_shapes(d)
    if d.broken(0.08):
        a, b, intent = [2, 3, 4], d.pick([[3], [2, 4]]), "invalid"
    other = dtype if d.chance(0.6) else d.any_dtype()
    x = d.values(a, dtype, special=0.05)
    if dtype in (F32, F64) and d.chance(0.7):
        x = np.asarray(np.abs(x) + dtype(0.1)).astype(dtype)
    if x.size and d.chance(0.2):
        x.reshape(-1)[d.integer(0, x.size - 1)] = 0
    e = d.values(b, other)
    if e.size and d.chance(0.2):
        e.reshape(-1)[d.integer(0, e.size - 1)] = 0
    return Case("pow", {}, {"input": x, "exponent": e}, None, intent)


def draw_clamp(d):
    dtype = d.pick([F32, F64, I64, I32], [0.4, 0.4, 0.1, 0.1])
    args, intent, mark, tensors = {}, "valid", None, {}
    some = d.pick([["min"], ["max"], ["min", "max"]], [0.25, 0.25, 0.5])
    if d.chance(0.65):
        tensors["input"] = d.values(d.shape(), dtype, special=0.2)
        for name in some:
            args[name] = d.pick([number(d, dtype), number(d, dtype), "inf", "-inf", "nan"], [0.45, 0.45, 0.04, 0.03, 0.03])
        if len(some) == 1 and d.chance(0.3):
            args["max" if some == ["min"] else "min"] = None
    else:
        a, b = two_shapes(d)
        if d.broken(0.08):
            a, b, intent = [2, 3, 4], d.pick([[3], [2, 4]]), "invalid"
        tensors["input"] = d.values(a, dtype)
        for name in some:
            tensors[name] = d.values(b, dtype if d.chance(0.7) else d.any_dtype())
    if d.broken(0.05):
        args, tensors, intent = {}, {"input": tensors["input"]}, "invalid"
    elif dtype == I32 and args and d.chance(0.1):
        args["min"], intent = 2**40, "any"
        mark = "may refuse: a bound beyond the type"
    return Case("clamp", args, tensors, None, intent, mark)


def draw_mask(d, shape):
    return np.asarray(d.r.integers(-1, 2, shape) * (d.r.random(shape) < 0.7)).astype(d.pick([I64, I32]))


def draw_where(d):
    a, b = two_shapes(d)
    c = d.pick([a, b, [1] * len(a), []], [0.4, 0.3, 0.15, 0.15])
    dtype, intent, args = d.any_dtype(), "valid", {}
    tensors = {"condition": draw_mask(d, c)}
    for name, shape in (("input", a), ("other", b)):
        if d.chance(0.25):
            args[name] = number(d, dtype)
        else:
            tensors[name] = d.values(shape, dtype if d.chance(0.6) else d.any_dtype(), special=0.1)
    if d.broken(0.12):
        if d.chance(0.5):
            tensors["condition"], intent = tensors["condition"].astype(F32), "invalid"
        else:
            tensors["condition"], intent = draw_mask(d, [n + 1 for n in a] + [3]), "any"
    return Case("where", args, tensors, None, intent)


def draw_masked_fill(d):
    a, b = two_shapes(d)
    dtype, intent, args = d.any_dtype(), "valid", {}
    tensors = {"input": d.values(a, dtype, special=0.1), "mask": draw_mask(d, b)}
    if d.chance(0.7):
        args["value"] = d.pick([number(d, dtype), "-inf"], [0.8, 0.2]) if dtype in (F32, F64) else number(d, dtype)
    else:
        tensors["value"] = d.values([], dtype if d.chance(0.7) else d.float_dtype())
    if d.broken(0.15):
        how = d.pick(["mask", "shape", "value", "range"])
        if how == "mask":
            tensors["mask"], intent = tensors["mask"].astype(F32), "invalid"
        elif how == "shape":
            tensors["mask"], intent = draw_mask(d, [n + 1 for n in a] + [3]), "any"
        elif how == "value":
            args, intent = {}, "invalid"
            tensors["value"] = d.values([2], dtype)
        elif dtype in (I64, I32):
            tensors.pop("value", None)
            args["value"], intent = d.pick(["inf", "nan", 1e30]), "any"
            if not tensors["input"].size or not tensors["mask"].size:
                intent = "any"
    return Case("masked_fill", args, tensors, None, intent, "may refuse: nothing to fill" if intent == "any" and args else None)


def draw_extreme(op):
    def draw(d):
        dtype = d.pick([F32, F64, I64, I32], [0.35, 0.35, 0.15, 0.15])
        if d.chance(0.12):
            a, b = two_shapes(d)
            other = dtype if d.chance(0.6) else d.any_dtype()
            return Case(op, {}, {"input": d.values(a, dtype, 0.2), "other": d.values(b, other, 0.2)})
        shape, args, intent = d.shape(zero=0.04), {}, "any"
        rank = max(len(shape), 1)
        if d.chance(0.65):
            args["dim"] = d.integer(-rank, rank - 1)
            if d.chance(0.5):
                args["keepdim"] = d.chance(0.7)
        if d.broken(0.08):
            args["dim"], intent = d.pick([rank, -rank - 1]), "invalid"
        return Case(op, args, {"input": d.values(shape, dtype, special=0.25)}, None, intent)
    return draw


def draw_extreme_over(op):
    def draw(d):
        case = draw_reduce(op)(d)
        case.tensors["input"] = d.values(case.tensors["input"].shape, case.tensors["input"].dtype.type, special=0.25)
        if 0 in case.tensors["input"].shape:
            case.intent = "any"
        if case.args.get("dim", 0) is None:
            del case.args["dim"]
        return case
    return draw


def draw_position(op):
    def draw(d):
        case = draw_extreme(op)(d)
        case.tensors.pop("other", None)
        case.intent = case.intent if case.intent == "invalid" else "any"
        if d.chance(0.1):
            case.args["keepdim"] = d.chance(0.7)
        case.requires_grad = []
        return case
    return draw


def draw_topk(d):
    dtype, shape, args, intent = d.any_dtype(), d.shape(zero=0.04), {}, "valid"
    rank = max(len(shape), 1)
    count = math.prod(shape)
    x = np.asarray(d.r.permutation(count).reshape(shape) - count // 2).astype(dtype)  # no ties
    if dtype in (F32, F64):
        x = np.asarray(x * dtype(0.37))
        if x.size and d.chance(0.2):
            x.reshape(-1)[d.integer(0, x.size - 1)] = d.pick([np.inf, -np.inf, np.nan])
    dim = d.integer(-rank, rank - 1)
    extent = shape[dim] if shape else 1
    args["k"] = d.integer(0 if shape else d.integer(0, 1), extent)
    if dim not in (-1, rank - 1) or d.chance(0.4):
        args["dim"] = dim
    if d.chance(0.5):
        args["largest"] = d.chance(0.4)
    if d.chance(0.3):
        args["sorted"] = args["k"] > 1 or d.chance(0.5)  # without order there is nothing to compare
    if d.broken():
        args.update(d.pick([{"dim": rank}, {"dim": -rank - 1}, {"k": -1}, {"k": extent + 1, "dim": dim}]))
        intent = "invalid"
    if not shape:
        intent = "any"
    return Case("topk", args, {"input": x}, None, intent)


def draw_logsumexp(d):
    case = draw_reduce("logsumexp")(d)
    x = case.tensors["input"]
    if "dim" not in case.args or case.args["dim"] is None:
        case.args["dim"] = []
    case.tensors["input"] = d.values(x.shape, x.dtype.type, special=0.0, scale=d.pick([1.0, 30.0, 300.0]))
    x = case.tensors["input"]
    if x.size and floating(x) and d.chance(0.15):
        x.reshape(-1)[d.integer(0, x.size - 1)] = d.pick([np.inf, -np.inf, np.nan])
    if x.size and floating(x) and d.chance(0.05):
        x[...] = d.pick([-np.inf, np.inf])
    return case


def draw_binary_cross_entropy(d):
    dtype, shape, intent, args, mark = d.float_dtype(), d.shape(), "valid", {}, None
    tensors = {"input": d.values(shape, dtype, scale=d.pick([1.0, 5.0, 200.0], [0.6, 0.3, 0.1])),
               "target": np.asarray(d.r.random(shape)).astype(dtype if d.chance(0.93) else d.float_dtype())}
    if d.chance(0.5):
        tensors["target"] = np.asarray(np.round(tensors["target"]))
    if d.chance(0.5):
        args["reduction"] = d.pick(["none", "mean", "sum"])
    for name in ("weight", "pos_weight"):
        if d.chance(0.35):
            part = [1 if d.chance(0.3) else n for n in shape]
            part = part[d.integer(0, len(part)):] if d.chance(0.4) else part
            tensors[name] = np.asarray(np.abs(d.values(part, tensors["target"].dtype.type)))
        elif d.chance(0.2):
            args[name] = None
    if d.broken(0.15):
        intent = "invalid"
        how = d.pick(["shape", "weight", "reduction", "target", "input", "larger"])
        if how == "shape":
            tensors["target"] = np.asarray(d.r.random(list(shape) + [2])).astype(dtype)
        elif how == "weight":
            tensors[d.pick(["weight", "pos_weight"])] = d.values([n + 3 for n in shape] + [5], dtype)
        elif how == "larger":
            tensors[d.pick(["weight", "pos_weight"])] = np.ones([2] + list(shape), dtype)
        elif how == "reduction":
            args["reduction"] = d.pick(["avg", "", "Mean"])
        elif how == "target":
            tensors["target"], intent = tensors["target"].astype(I64), "any"
        else:
            tensors["input"], intent = tensors["input"].astype(I64), "any"
        if intent == "any" or not tensors["input"].size or how == "larger":
            intent, mark = "any", "may refuse: integers, or weights without elements"
    return Case("binary_cross_entropy_with_logits", args, tensors, ["input", "target"], intent, mark)


def draw_mse_loss(d):
    a, b = two_shapes(d)
    if d.chance(0.6):
        b = a
    dtype, intent, args, mark = d.float_dtype(), "valid", {}, None
    tensors = {"input": d.values(a, dtype), "target": d.values(b, dtype if d.chance(0.85) else d.any_dtype())}
    if d.chance(0.5):
        args["reduction"] = d.pick(["none", "mean", "sum"])
    if d.chance(0.3):
        tensors["weight"] = np.asarray(np.abs(d.values(a, dtype)))
    if d.broken(0.12):
        how = d.pick(["shape", "weight", "reduction", "int"])
        intent = "invalid"
        if how == "shape":
            tensors.update({"input": d.values([2, 3], dtype), "target": d.values([4], dtype)})
            tensors.pop("weight", None)
        elif how == "weight":
            tensors["weight"] = d.values(list(a) + [2], dtype)
        elif how == "reduction":
            args["reduction"] = d.pick(["avg", "", "Mean"])
        else:
            tensors = {"input": d.values(a, I64), "target": d.values(b, I32)}
            intent, mark = "any", "may refuse: integers"
    return Case("mse_loss", args, tensors, ["input", "target"], intent, mark)


def draw_squeeze(d):
    shape = [1 if d.chance(0.5) else d.size() for _ in range(d.integer(0, 4))]
    rank, args, intent = max(len(shape), 1), {}, "valid"
    u = d.r.random()
    if u < 0.4:
        args["dim"] = d.integer(-rank, rank - 1)
    elif u < 0.7:
        some = [i for i in range(len(shape)) if d.chance(0.5)]
        args["dim"] = [i - len(shape) if d.chance(0.4) else i for i in some]
    if d.broken():
        args["dim"], intent = d.pick([rank, -rank - 1, [0, 0], [0, -rank], [rank]]), "invalid"
    return Case("squeeze", args, {"input": d.values(shape, d.any_dtype())}, None, intent)


def draw_unsqueeze(d):
    shape, intent = d.shape(zero=0.06), "valid"
    dim = d.integer(-len(shape) - 1, len(shape))
    if d.broken():
        dim, intent = d.pick([len(shape) + 1, -len(shape) - 2]), "invalid"
    return Case("unsqueeze", {"dim": dim}, {"input": d.values(shape, d.any_dtype())}, None, intent)


def draw_permute(d):
    shape, intent = d.shape(zero=0.06), "valid"
    dims = [int(i) - len(shape) if d.chance(0.3) else int(i) for i in d.r.permutation(len(shape))]
    if d.broken():
        intent = "invalid"
        dims = d.pick([dims + [0], [n + len(shape) + 1 for n in dims] + [9], dims[:-1] + [9], [0, 0]])
        if len(shape) == 0 and not dims:
            intent = "any"
    return Case("permute", {"dims": dims}, {"input": d.values(shape, d.any_dtype())}, None, intent)


def draw_index_select(d):
    shape, intent, mark = d.shape(low=0, zero=0.04), "valid", None
    rank = max(len(shape), 1)
    dim = d.integer(-rank, rank - 1)
    extent = shape[dim] if shape else 1
    count = d.size(0.07) if shape else 1
    index = d.indices([] if d.chance(0.06) else [count if extent else 0], extent)
    if extent == 0 and not index.shape:
        index = d.indices([0], 1)
    if d.broken(0.18):
        intent = "invalid"
        how = d.pick(["index", "dtype", "rank", "dim", "scalar"])
        if how == "index" and index.size:
            index = spoil_index(d, np.asarray(index), extent)
        elif how == "rank":
            index = d.indices([2, 2], 1)
        elif how == "dim":
            dim = d.pick([rank, -rank - 1])
        elif how == "scalar":
            shape, dim, index = [], 0, d.indices([d.pick([0, 2])], 1)
        else:
            index = index.astype(F32)
    return Case("index_select", {"dim": dim}, {"input": d.values(shape, d.any_dtype()), "index": index}, None, intent, mark)


def draw_matmul(d):
    dtype = d.float_dtype()
    m, k, n = d.size(), d.size(0.08), d.size()
    kind = d.pick(["1x1", "1x2", "2x1", "2x2", "batch", "batch1", "1batch"], [0.1, 0.12, 0.12, 0.26, 0.2, 0.1, 0.1])
    lead_a, lead_b = two_shapes(d, 2)
    while math.prod(lead_a) * math.prod(lead_b) > 40:
        lead_a, lead_b = two_shapes(d, 2)
    if kind.find("batch") >= 0:
        m, k, n = (min(v, 8) for v in (m, k, n))
    a, b = {"1x1": ([k], [k]), "1x2": ([k], [k, n]), "2x1": ([m, k], [k]), "2x2": ([m, k], [k, n]),
            "batch": (lead_a + [m, k], lead_b + [k, n]), "batch1": (lead_a + [m, k], [k]),
            "1batch": ([k], lead_b + [k, n])}[kind]
    types, intent, mark = (dtype, dtype), "valid", None
    if d.chance(0.03):
        types, mark = (I64, I64), "may refuse: matmul of integers"
    if d.broken():
        intent = "invalid"
        how = d.pick(["inner", "scalar", "dtype", "batch"])
        if how == "inner":
            b = [n if n != k else n + 1] if len(b) == 1 else b[:-2] + [k + 1, n]
            if len(b) == 1 and b[0] == k:
                b = [k + 1]
        elif how == "scalar":
            a, b = d.pick([([], [k]), ([k], []), ([], []), ([], [k, n])])
        elif how == "dtype":
            types = d.pick([(F32, F64), (F64, F32), (F32, I64), (I64, F64)])
            if not math.prod(a) or not math.prod(b):
                intent, mark = "any", "may accept: nothing to multiply"
        else:
            a, b = [2, 3, 4], [3, 4, 2]
    return Case("matmul", {}, {"input": d.values(a, types[0]), "other": d.values(b, types[1])}, None, intent, mark)


def draw_reduce(op):
    def draw(d):
        shape, args, intent = d.shape(zero=0.06), {}, "valid"
        rank = max(len(shape), 1)
        dtype = d.pick([F32, F64, I64, I32], [0.43, 0.43, 0.07, 0.07])
        u = d.r.random()
        if u < 0.4:
            args["dim"] = d.integer(-rank, rank - 1)
        elif u < 0.65:
            some = [i for i in range(len(shape)) if d.chance(0.5)]
            d.r.shuffle(some)
            args["dim"] = [i - len(shape) if d.chance(0.4) else i for i in some]
        elif u < 0.75:
            args["dim"] = d.pick([None, []])
        if d.chance(0.5):
            args["keepdim"] = d.chance(0.7)
        if op == "mean" and dtype in (I64, I32):
            intent = "invalid"
        if d.broken(0.1):
            intent = "invalid"
            args["dim"] = d.pick([rank, -rank - 1, [0, 0], [0, -rank], [rank]])
        return Case(op, args, {"input": d.values(shape, dtype)}, None, intent)
    return draw


def draw_reshape(d, op="reshape"):
    shape = d.shape(zero=0.06)
    count, args, intent = math.prod(shape), {}, "valid"
    new = []
    left = count
    for _ in range(d.integer(0, 3)):
        divisors = [n for n in range(1, left + 1) if left % n == 0] if left else [0, 1, 2]
        new.append(d.pick(divisors))
        left = left // new[-1] if new[-1] else left
    new.append(left) if left != 1 or not new else None
    if count == 0 and math.prod(new) != 0:
        new[0] = 0
    if count == 1 and d.chance(0.4):
        new = []
    d.r.shuffle(new)
    if new and d.chance(0.45):
        new[d.integer(0, len(new) - 1)] = -1
        if count == 0:
            intent = "any"
    if d.broken(0.2):
        intent = "any"
        new = d.pick([new + [2], [-1, -1], [-2] + new, [-1, 0], [count + 1], [], [count + 1, -1], new + [-1]])
    return Case(op, {"shape": [int(n) for n in new]}, {"input": d.values(shape, d.any_dtype())}, None, intent)


def draw_transpose(d):
    shape, intent = d.shape(zero=0.06), "valid"
    rank = max(len(shape), 1)
    dims = [d.integer(-rank, rank - 1), d.integer(-rank, rank - 1)]
    if d.broken():
        dims[d.integer(0, 1)], intent = d.pick([rank, -rank - 1]), "invalid"
    return Case("transpose", {"dim0": dims[0], "dim1": dims[1]}, {"input": d.values(shape, d.any_dtype())}, None, intent)


def draw_narrow(d):
    shape, intent = d.shape(low=1, zero=0.05), "valid"
    rank = len(shape)
    dim = d.integer(-rank, rank - 1)
    n = shape[dim]
    start = d.integer(0, n)
    length = d.integer(0, n - start)
    if start and d.chance(0.15) and start < n:
        start -= n
    if d.broken(0.15):
        intent = "invalid"
        how = d.pick(["dim", "length", "start", "negative", "scalar"])
        if how == "dim":
            dim = d.pick([rank, -rank - 1])
        elif how == "length":
            length, start = n - (start % n if n else 0) + d.integer(1, 3), start % n if n else 0
        elif how == "start":
            start = d.pick([n + 1, -n - 1])
        elif how == "negative":
            length = -1
        else:
            shape, dim, start, length = [], 0, 0, d.pick([0, 1])
    return Case("narrow", {"dim": dim, "start": start, "length": length}, {"input": d.values(shape, d.any_dtype())},
                None, intent)


def draw_gather_rows(d):
    shape, intent = d.shape(low=1, high=3, zero=0.05), "valid"
    n = shape[0]
    where = d.shape(low=0, high=3, zero=0.07) if n else [0]
    while math.prod(where) * math.prod(shape[1:]) > 5000:
        where = d.shape(low=0, high=2)
    index, dtype = d.indices(where, n), d.any_dtype()
    if d.broken(0.15):
        intent = "invalid"
        how = d.pick(["index", "dtype", "scalar"])
        if how == "index" and index.size:
            index = spoil_index(d, index, n)
        elif how == "scalar":
            shape, index = [], d.indices([2], 1)
        else:
            index = index.astype(F32)
    return Case("gather_rows", {}, {"input": d.values(shape, dtype), "index": index}, None, intent)


def draw_join(op):
    def draw(d):
        count = d.pick([1, 2, 3, 4], [0.15, 0.4, 0.3, 0.15])
        shape, intent = d.shape(low=1 if op == "cat" else 0, high=3, zero=0.05), "valid"
        rank = len(shape) + (op == "stack")
        dim = d.integer(-rank, rank - 1)
        dtype = d.float_dtype()
        types = [dtype] * count if d.chance(0.7) else [d.any_dtype() for _ in range(count)]
        parts = []
        for k in range(count):
            mine = list(shape)
            if op == "cat":
                mine[dim] = d.size(0.08)
            parts.append(d.values(mine, types[k]))
        args = {"dim": dim} if dim % rank or d.chance(0.6) else {}
        if op == "cat" and d.chance(0.12):  # the legacy: a 1-D tensor without elements fits anywhere
            parts.insert(d.integer(0, len(parts)), d.values([0], types[0]))
        if d.broken(0.15):
            intent = "invalid"
            how = d.pick(["dim", "shape", "rank", "none"] + ["scalar"] * (op == "cat"))
            base = list(parts[-1].shape)
            if how == "dim":
                args["dim"] = d.pick([rank, -rank - 1])
            elif how == "none":
                parts = []
            elif how == "scalar":
                parts.insert(d.integer(0, len(parts)), d.values([], dtype))
            else:
                intent = "any"  # cat lets it pass where a part is the 1-D tensor without elements
                axes = [k for k in range(len(base)) if op == "stack" or k != dim % rank]
                if how == "shape" and axes:
                    base[d.pick(axes)] += 1
                else:
                    base.append(2)
                parts.append(d.values(base, dtype))
        return Case(op, args, {f"input.{k}": p for k, p in enumerate(parts)}, None, intent)
    return draw


def draw_lstm(d):
    dtype = d.float_dtype()
    I = d.pick([1, 2, 3, 5, 31, 33], [0.15, 0.25, 0.25, 0.25, 0.05, 0.05])
    H = d.pick([1, 2, 3, 4, 8, 32], [0.1, 0.25, 0.25, 0.25, 0.1, 0.05])
    layers = d.pick([1, 2, 3], [0.5, 0.35, 0.15])
    directions = 2 if d.chance(0.4) else 1
    proj = d.integer(1, H - 1) if H > 1 and d.chance(0.25) else 0
    bias, batch_first = d.chance(0.8), d.chance(0.35)
    T, B = d.pick([1, 2, 3, 5, 7]), d.pick([1, 2, 3, 4, 17], [0.2, 0.3, 0.25, 0.2, 0.05])
    style = d.pick(["batch", "unbatched", "lengths"], [0.45, 0.15, 0.4])
    intent, args = "valid", {"hidden_size": H}
    if style == "batch":
        B = 0 if d.chance(0.05) else B
    if style != "lengths" and d.chance(0.05):
        T = 0
    for name, value, default in (("num_layers", layers, 1), ("bias", bias, True), ("batch_first", batch_first, False),
                                 ("bidirectional", directions == 2, False), ("proj_size", proj, 0)):
        if value != default or d.chance(0.3):
            args[name] = value
    P, bound = proj or H, 0.7
    tensors = {}
    for layer in range(layers):
        for suffix in ("", "_reverse")[:directions]:
            width = I if layer == 0 else directions * P
            tensors[f"weight_ih_l{layer}{suffix}"] = d.values([4 * H, width], dtype, scale=bound)
            tensors[f"weight_hh_l{layer}{suffix}"] = d.values([4 * H, P], dtype, scale=bound)
            if bias:
                tensors[f"bias_ih_l{layer}{suffix}"] = d.values([4 * H], dtype, scale=bound)
                tensors[f"bias_hh_l{layer}{suffix}"] = d.values([4 * H], dtype, scale=bound)
            if proj:
                tensors[f"weight_hr_l{layer}{suffix}"] = d.values([proj, H], dtype, scale=bound)
    shape = [T, I] if style == "unbatched" else [B, T, I] if batch_first else [T, B, I]
    tensors["input"] = d.values(shape, dtype)
    states = ([layers * directions, P], [layers * directions, H])
    if style != "unbatched":
        states = tuple([s[0], B, s[1]] for s in states)
    if d.chance(0.5):
        tensors["h_0"], tensors["c_0"] = (d.values(s, dtype) for s in states)
    elif d.chance(0.15):
        args.update({"h_0": None, "c_0": None})
    if style == "lengths":
        lengths = d.r.integers(1, T + 1, B)
        lengths[d.integer(0, B - 1)] = T
        if T > 1 and d.chance(0.08):  # the output is then as long as the longest sequence, not as the input
            lengths = np.minimum(lengths, T - 1)
        if d.chance(0.2):
            lengths[d.r.random(B) < 0.4] = 0  # perhaps all of them, perhaps the longest
        if d.chance(0.5):
            lengths = np.sort(lengths)[::-1]
            if d.chance(0.5):
                args["enforce_sorted"] = d.chance(0.5)
        else:
            args["enforce_sorted"] = False
        tensors["lengths"] = np.array(lengths, I64)
    if d.broken(0.18):
        intent = "invalid"
        kinds = ["features", "dtype", "rank", "missing", "shape", "proj", "hidden", "extra"]
        if "h_0" in tensors:
            kinds += ["h_0", "c_0", "one", "h_dtype"]
        if style == "lengths":
            kinds += ["long", "count", "negative", "unsorted"] * 2
        how = d.pick(kinds)
        if how == "features":
            tensors["input"] = d.values(shape[:-1] + [I + 1], dtype)
        elif how == "dtype":
            tensors["input"] = tensors["input"].astype(F32 if dtype == F64 else F64)
        elif how == "rank":
            tensors["input"] = d.values(d.pick([[I], [1] + shape + [1]]), dtype)
        elif how == "missing":
            tensors.pop(d.pick([n for n in tensors if n.startswith("weight_hh")]))
        elif how == "shape":
            name = d.pick([n for n in tensors if n.startswith(("weight_hh", "weight_hr"))])
            tensors[name] = d.values([s + 1 for s in tensors[name].shape], dtype)
        elif how == "proj":
            args["proj_size"] = d.pick([H, H + 1, -1])
        elif how == "hidden":
            args["hidden_size"] = d.pick([0, -1, H + 1])
        elif how == "extra":
            args["num_layers"] = d.pick([0, layers + 1])
        elif how == "h_0":
            tensors["h_0"] = d.values([states[0][0] + 1] + list(states[0][1:]), dtype)
        elif how == "c_0":
            tensors["c_0"] = d.values(list(states[1][:-1]) + [H + 1], dtype)
        elif how == "one":
            wrong = [s[:1] + [3 if B == 1 else 1] + s[-1:] if len(s) == 3 else [s[0], 1, s[1]] for s in states]
            tensors["h_0"], tensors["c_0"] = (d.values(s, dtype) for s in wrong)
        elif how == "h_dtype":
            other = F32 if dtype == F64 else F64
            tensors["h_0"], tensors["c_0"] = tensors["h_0"].astype(other), tensors["c_0"].astype(other)
        elif how == "long":
            tensors["lengths"][0] = T + 1
        elif how == "count":
            args["enforce_sorted"] = False
            tensors["lengths"] = tensors["lengths"][:-1] if d.chance(0.5) else np.append(tensors["lengths"], 1)
        elif how == "negative":
            tensors["lengths"][-1] = -1
        elif how == "unsorted":
            args.pop("enforce_sorted", None)
            intent = "any"
            tensors["lengths"] = tensors["lengths"][::-1].copy()
    return Case("lstm", args, tensors, None, intent)


# op -> (reference, drawing)
OPS = {
    "embedding": (plain(lambda a, t: F.embedding(t["input"], t["weight"], **chosen(a, "padding_idx"))), draw_embedding),
    "linear": (plain(lambda a, t: F.linear(t["input"], t["weight"], t.get("bias"))), draw_linear),
    "log_softmax": (ref_softmax(lambda x, **o: F.log_softmax(x, **o)), draw_softmax("log_softmax")),
    "softmax": (ref_softmax(lambda x, **o: F.softmax(x, **o)), draw_softmax("softmax")),
    "nll_loss": (ref_loss(lambda *a, **o: F.nll_loss(*a, **o)), draw_loss("nll_loss")),
    "cross_entropy": (ref_loss(lambda *a, **o: F.cross_entropy(*a, **o)), draw_loss("cross_entropy")),
    "matmul": (plain(lambda a, t: torch.matmul(t["input"], t["other"])), draw_matmul),
    "sum": (ref_reduce(lambda x, **o: torch.sum(x, **o)), draw_reduce("sum")),
    "mean": (ref_reduce(lambda x, **o: torch.mean(x, **o)), draw_reduce("mean")),
    "reshape": (plain(lambda a, t: t["input"].reshape(a["shape"])), draw_reshape),
    "transpose": (plain(lambda a, t: t["input"].transpose(a["dim0"], a["dim1"])), draw_transpose),
    "narrow": (plain(lambda a, t: t["input"].narrow(a["dim"], a["start"], a["length"])), draw_narrow),
    "gather_rows": (plain(ref_gather_rows), draw_gather_rows),
    "cat": (ref_join(lambda x, **o: torch.cat(x, **o)), draw_join("cat")),
    "stack": (ref_join(lambda x, **o: torch.stack(x, **o)), draw_join("stack")),
    "lstm": (ref_lstm, draw_lstm),
}
OPS.update({
    "pow": (plain(ref_pow), draw_pow),
    "clamp": (plain(ref_clamp), draw_clamp),
    "where": (plain(ref_where), draw_where),
    "masked_fill": (plain(ref_masked_fill), draw_masked_fill),
    "max": (ref_extreme(lambda *a, **o: torch.max(*a, **o)), draw_extreme("max")),
    "min": (ref_extreme(lambda *a, **o: torch.min(*a, **o)), draw_extreme("min")),
    "amax": (plain(lambda a, t: torch.amax(t["input"], **chosen(a, "dim", "keepdim"))), draw_extreme_over("amax")),
    "amin": (plain(lambda a, t: torch.amin(t["input"], **chosen(a, "dim", "keepdim"))), draw_extreme_over("amin")),
    "argmax": (plain(lambda a, t: torch.argmax(t["input"], **chosen(a, "dim", "keepdim"))), draw_position("argmax")),
    "argmin": (plain(lambda a, t: torch.argmin(t["input"], **chosen(a, "dim", "keepdim"))), draw_position("argmin")),
    "topk": (ref_topk, draw_topk),
    "logsumexp": (ref_logsumexp, draw_logsumexp),
    "binary_cross_entropy_with_logits": (ref_weighted(lambda *a, **o: F.binary_cross_entropy_with_logits(*a, **o)),
                                         draw_binary_cross_entropy),
    "mse_loss": (ref_weighted(lambda *a, **o: F.mse_loss(*a, **o)), draw_mse_loss),
    "squeeze": (plain(lambda a, t: torch.squeeze(t["input"], **chosen(a, "dim"))), draw_squeeze),
    "unsqueeze": (plain(lambda a, t: torch.unsqueeze(t["input"], a["dim"])), draw_unsqueeze),
    "permute": (plain(lambda a, t: torch.permute(t["input"], a["dims"])), draw_permute),
    "index_select": (plain(lambda a, t: torch.index_select(t["input"], a["dim"], t["index"])), draw_index_select),
    "logsigmoid": (plain(lambda a, t: F.logsigmoid(t["input"])), draw_unary("logsigmoid")),
})
for _op in ("relu", "sigmoid", "tanh", "exp", "log", "neg", "sqrt", "square", "abs"):
    OPS[_op] = (plain(lambda a, t, f=_op: getattr(torch, f)(t["input"])), draw_unary(_op))
for _op in ("add", "sub", "mul", "div", "maximum", "minimum"):
    OPS[_op] = (plain(lambda a, t, f=_op: getattr(torch, f)(t["input"], operand(a, t, "other"))), draw_binary(_op))
for _op in ("eq", "ne", "lt", "le", "gt", "ge"):  # embergrad's truth values are int32
    OPS[_op] = (plain(lambda a, t, f=_op: getattr(torch, f)(t["input"], operand(a, t, "other")).int()), draw_binary(_op))
for _op in ("add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge"):  # cases of `_op`, drawn apart
    OPS[_op + "_number"] = (None, draw_beside_number(_op))
OPS["clone"] = (plain(lambda a, t: t["input"].clone()), draw_unary("clone"))
OPS["detach"] = (plain(lambda a, t: t["input"].detach()), draw_unary("detach"))
OPS["view"] = (plain(lambda a, t: t["input"].view(a["shape"])), lambda d: draw_reshape(d, "view"))


def draw_case(op, number, seed):
    """A case with its gradients to come drawn too, so ready to be written."""
    d = Draw(seed, op, number)
    torch.manual_seed(seed)
    case = OPS[op][1](d)
    backward, out_grads = d.chance(0.88), [d.chance(0.65) for _ in range(3)]
    names = [n for n in case.tensors if floating(case.tensors[n])]
    if case.requires_grad is not None:
        names = [n for n in names if n in case.requires_grad]
    case.requires_grad = d.subset(names) if backward else []
    if not case.requires_grad:
        return case
    if "target" in case.tensors and "weight" in case.requires_grad:
        case.requires_grad.remove("weight")
    try:
        with torch.no_grad():
            outputs = answer(case)[0]
    except REFUSALS:
        if d.chance(0.5):
            case.requires_grad = []
        else:  # refused before any gradient could flow, so its shape is of no account
            case.tensors["grad_output" if op != "lstm" else "grad_output.output"] = np.ones([], F32)
        return case
    outputs = {n: o for n, o in outputs.items() if n.startswith("output") and floating(o)}
    if len(outputs) > 1 and any(out_grads):
        outputs = {n: o for (n, o), flows in zip(outputs.items(), out_grads) if flows}
    for name, out in outputs.items():
        case.tensors["grad_" + name] = d.values(out.shape, out.dtype.type)
    if not outputs:
        case.requires_grad = []
    return case


def write_case(directory, name, case):
    """Writes the pair of files; returns 'valid' or 'invalid', or a complaint when the drawing was mistaken."""
    directory = pathlib.Path(directory)
    for part in ("cases", "expected"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    for old in (f"{name}.safetensors", f"{name}.error"):
        (directory / "expected" / old).unlink(missing_ok=True)
    write_tensors(directory / "cases" / f"{name}.safetensors", case.tensors, {"case": case.to_json()})
    try:
        tensors, mark = answer(case)
    except REFUSALS as error:
        mark = getattr(error, "mark", None) or case.mark
        if mark and mark.startswith("may refuse"):  # PyTorch refuses too, which leaves embergrad as free
            mark = mark.replace("may refuse", "may accept")
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        text = f"any\n{mark or ''}\nPyTorch: {type(error).__name__}: {first}\n"
        (directory / "expected" / f"{name}.error").write_text(text)
        return "invalid" if case.intent != "valid" else f"drawn as valid, but refused: {first}"
    mark = mark or case.mark
    if mark and mark.startswith("may accept"):
        mark = None
    write_tensors(directory / "expected" / f"{name}.safetensors", tensors, {"embergrad": mark} if mark else None)
    return "valid" if case.intent != "invalid" else "drawn as invalid, but accepted"


def make(options):
    if torch is None:
        sys.exit("torch_cases: make needs PyTorch")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"PyTorch {torch.__version__}, seed {options.seed}")
    print(f"{'op':<34}{'cases':>7}{'valid':>7}{'invalid':>9}{'marked':>8}")
    for op in options.op or OPS:
        tally = {"valid": 0, "invalid": 0}
        surprises, marked = [], 0
        for number in range(options.count):
            name = f"{op}_{number:04d}"
            if options.only and name not in options.only:
                continue
            case = draw_case(op, number, options.seed)
            outcome = write_case(options.dir, name, case)
            marked += bool(expected_of(options.dir, name)[1])
            if outcome not in tally:
                surprises.append(f"  {name}: {outcome}  {case.to_json()} "
                                 f"{ {n: a.shape for n, a in case.tensors.items()} }")
                outcome = "valid" if "accepted" in outcome else "invalid"
            tally[outcome] += 1
        print(f"{op:<34}{sum(tally.values()):>7}{tally['valid']:>7}{tally['invalid']:>9}{marked:>8}")
        print("\n".join(surprises[:8]) + "\n" if surprises else "", end="")
    return 0


# ------------------------------------------------------------------------------------------------ comparing

def expected_of(directory, name):
    """(tensors or None for a refusal, mark)"""
    base = pathlib.Path(directory) / "expected"
    if (base / f"{name}.error").exists():
        lines = (base / f"{name}.error").read_text().splitlines()
        return None, (lines[1] if len(lines) > 1 else "")
    tensors, metadata = read_tensors(base / f"{name}.safetensors")
    return tensors, metadata.get("embergrad", "")


def tolerance(dtype, op, dtypes):
    """dtypes: of every floating tensor of the case and of its answer."""
    if dtype in ("F16", "BF16"):
        return 1e-2
    mixed = "F32" in dtypes and "F64" in dtypes and op not in ("cat", "stack", "optimizer")
    return 2e-5 if dtype == "F32" or mixed else 1e-9


def first_difference(expected, got, limit):
    """None, or a text with the first position that differs and both numbers."""
    if expected.dtype.kind in "iu":
        wrong = expected != got
    else:
        expected, got = expected.astype(np.float64), got.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            close = np.abs(got - expected) <= limit * (1 + np.abs(expected))
        close &= np.isfinite(expected) & np.isfinite(got)
        wrong = ~(close | (got == expected) | (np.isnan(got) & np.isnan(expected)))
    if not wrong.any():
        return None
    position = tuple(int(i) for i in np.argwhere(np.atleast_1d(wrong))[0]) if wrong.ndim else ()
    return (f"{list(position)}: expected {expected[position].item()!r}, got {got[position].item()!r}"
            f" ({int(wrong.sum())} of {wrong.size} differ, tolerance {limit:g})")


def differences(op, inputs, expected, got):
    """The list of what differs between two answers."""
    found = []
    for name in sorted(set(expected) - set(got)):
        found.append(f"{name} is missing")
    for name in sorted(set(got) - set(expected)):
        found.append(f"{name} is not in the expected answer")
    dtypes = {d for d, _ in list(inputs.values()) + list(expected.values()) if not d.startswith("I")}
    for name in sorted(set(expected) & set(got)):
        (dtype, a), (other, b) = expected[name], got[name]
        if dtype != other:
            found.append(f"{name}: expected {dtype}, got {other}")
        elif a.shape != b.shape:
            found.append(f"{name}: expected shape {a.shape}, got {b.shape}")
        else:
            text = first_difference(a, b, tolerance(dtype, op, dtypes))
            if text:
                found.append(f"{name}{text}")
    return found


def compare(options):
    directory, results = pathlib.Path(options.dir), pathlib.Path(options.results)
    columns = ("cases", "agree", "differ", "unsupported", "wrongly accepted", "wrongly refused", "free")
    table, details, notes = {}, [], {}
    names = sorted(p.stem for p in (directory / "cases").glob("*.safetensors"))
    if not names:
        sys.exit(f"torch_cases: no cases in {directory / 'cases'}")
    for name in names:
        inputs, metadata = read_tensors(directory / "cases" / f"{name}.safetensors")
        case = json.loads(metadata["case"])
        label = " ".join([case["op"]] + [str(case["args"][n]) for n in ("optimizer", "updates") if n in case["args"]])
        row = table.setdefault(label, dict.fromkeys(columns, 0))
        row["cases"] += 1
        expected, mark = expected_of(directory, name)
        error, tensors = results / f"{name}.error", results / f"{name}.safetensors"

        def tell(column, lines):
            row[column] += 1
            shapes = ", ".join(f"{n} {d}{list(a.shape)}" for n, (d, a) in inputs.items() if not n.startswith("grad."))
            details.append("\n".join([f"{name}: {column}" + (f"  [{mark}]" if mark else ""),
                                      f"    args {json.dumps(case['args'])} requires_grad {case['requires_grad']}",
                                      f"    {shapes}"] + [f"    {line}" for line in lines]))

        if error.exists() and tensors.exists():
            tell("differ", ["both an .error and a .safetensors"])
        elif error.exists():
            text = error.read_text(errors="replace").strip()
            kind = (text.splitlines() or [""])[0].strip()
            if kind == "Unsupported":
                row["unsupported"] += 1
            elif not kind:
                tell("differ", ["an empty .error"])
            elif expected is None:
                row["agree"] += 1
                notes[kind] = notes.get(kind, 0) + 1
            elif mark.startswith("may refuse"):
                row["free"] += 1
            else:
                tell("wrongly refused", [f"error: {text[:300]}"])
        elif tensors.exists():
            try:
                got, written = read_tensors(tensors)
            except Exception as problem:  # a damaged file is a difference like any other
                tell("differ", [f"unreadable: {problem}"])
                continue
            if "device" not in written:
                notes["(results without `device` in their metadata)"] = \
                    notes.get("(results without `device` in their metadata)", 0) + 1
            if expected is None:
                if mark.startswith("may accept"):
                    row["free"] += 1
                else:
                    why = (directory / "expected" / f"{name}.error").read_text().splitlines()[-1]
                    tell("wrongly accepted", [why])
                continue
            found = differences(case["op"], inputs, expected, got)
            if found:
                tell("differ", found[:6])
            else:
                row["agree"] += 1
        else:
            tell("differ", ["no answer"])
    strange = sorted({p.stem for p in results.iterdir() if p.suffix in (".error", ".safetensors")} - set(names))

    total = {c: sum(row[c] for row in table.values()) for c in columns}
    print(f"{'op':<34}" + "".join(f"{c:>{max(7, len(c) + 2)}}" for c in columns))
    for op, row in sorted(table.items()) + [("all", total)]:
        print(f"{op:<34}" + "".join(f"{row[c]:>{max(7, len(c) + 2)}}" for c in columns))
    if notes:
        print("\nrefusals by class: " + ", ".join(f"{k} {n}" for k, n in sorted(notes.items())))
    if strange:
        print(f"\n{len(strange)} results that no case asked for: {', '.join(strange[:10])}")
    if details:
        print(f"\nThe first {min(20, len(details))} of {len(details)} differences:\n")
        print("\n\n".join(details[:20]))
    return 1 if details or strange else 0


def show(options):
    tensors, metadata = read_tensors(options.file)
    for key, value in metadata.items():
        print(f"{key}: {value}")
    for name, (dtype, array) in tensors.items():
        print(f"{name} {dtype}{list(array.shape)}\n{array}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("make", help="draw cases and let PyTorch answer them")
    one.add_argument("dir", metavar="DIR")
    one.add_argument("--op", action="append", choices=list(OPS), help="only this op (may be repeated)")
    one.add_argument("--count", type=int, default=100, metavar="N", help="cases per op")
    one.add_argument("--seed", type=int, default=0, metavar="S")
    one.add_argument("--only", action="append", metavar="NAME", help="only this case (may be repeated)")
    two = commands.add_parser("compare", help="compare opcheck's results with the expected answers")
    two.add_argument("dir", metavar="DIR")
    two.add_argument("results", metavar="RESULTS")
    three = commands.add_parser("show", help="print one file")
    three.add_argument("file", metavar="FILE")
    commands.add_parser("list", help="the ops that are drawn")
    options = parser.parse_args()
    if options.command == "list":
        print("\n".join(OPS))
        return 0
    return {"make": make, "compare": compare, "show": show}[options.command](options)


if __name__ == "__main__":
    sys.exit(main())
