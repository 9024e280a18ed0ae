#!/usr/bin/env python3
"""Writes the fixtures beside it, cases/ and expected/, from PyTorch's answers (see README.md).

    python3 tests/golden/make_golden.py            # replaces cases/ and expected/

Two sources: hand-made cases with numbers that can be checked by eye (`named`, `named_bags`), and, of the random cases
that ../opcheck/torch_cases.py and ../opcheck/bag_cases.py draw, the few per op that between them show every option,
dtype, rank, refusal and difference that occurs (`chosen`). The same PyTorch gives the same bytes.
"""

import argparse
import json
import math
import pathlib
import re
import shutil
import sys
import tempfile

import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "opcheck"))
import bag_cases  # noqa: E402
import torch_cases  # noqa: E402
from torch_cases import Case, F32, F64, I32, I64  # noqa: E402

SEED, DRAWN = 2026, 250
PER_OP = {"embedding": 7, "linear": 6, "log_softmax": 3, "softmax": 3, "nll_loss": 7, "cross_entropy": 10,
          "relu": 2, "sigmoid": 2, "tanh": 1, "exp": 1, "log": 1, "neg": 1, "add": 4, "sub": 2, "mul": 3, "div": 3,
          "matmul": 7, "sum": 5, "mean": 3, "reshape": 4, "transpose": 2, "narrow": 3, "gather_rows": 3, "cat": 4,
          "stack": 3, "lstm": 14, "sqrt": 1, "square": 1, "abs": 1, "logsigmoid": 1, "pow": 6,
          "maximum": 2, "minimum": 1, "max": 4, "min": 2, "amax": 3, "amin": 2, "argmax": 1, "argmin": 2, "topk": 4,
          "logsumexp": 4, "clamp": 5, "where": 3, "masked_fill": 3, "squeeze": 2, "unsqueeze": 1, "permute": 2,
          "index_select": 4, "binary_cross_entropy_with_logits": 6, "mse_loss": 4}

PER_FAMILY = {"bag": 54, "table": 14}


# ------------------------------------------------------------------------------------------------ chosen cases

def bucket(value):
    if isinstance(value, dict):
        return "+".join(f"{k}" for k in sorted(value))
    if isinstance(value, list):
        return f"list{min(len(value), 2)}" + ("-" if any(isinstance(v, (int, float)) and v < 0 for v in value) else "")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "negative" if value < 0 else "zero" if value == 0 else "one" if value == 1 else "positive"
    return str(value)


def features(case, outcome):
    """What a case shows."""
    args = {f"{k}={bucket(v)}" for k, v in case.args.items()}
    args |= {f"has {re.sub(r'[0-9]+', '#', n)}" for n in case.tensors}
    grads = tuple(sorted(n for n in case.tensors if n.startswith("grad_output")))
    args.add(f"gradient from {grads}")
    if case.op == "lstm" and "lengths" in case.tensors:
        lengths = case.tensors["lengths"]
        args.add("sorted" if (lengths[1:] <= lengths[:-1]).all() else "unsorted")
    single = set(args)
    for name, array in case.tensors.items():
        if not name.startswith("grad"):
            kind = re.sub(r"[0-9]+", "#", name)
            single.add(f"{kind} {array.dtype}")
            if case.op != "lstm":
                single.add(f"{kind} rank {array.ndim}")
            single |= {f"{kind} size {n if n < 2 else 'wide'}" for n in array.shape if n < 2 or 31 <= n <= 33}
    single.add("/".join(str(a.dtype) for n, a in sorted(case.tensors.items()) if not n.startswith("grad"))[:40])
    if outcome.startswith("any"):  # a refusal shows its reason alone
        reason = outcome.splitlines()
        return {"refused: " + re.sub(r"[-0-9.]+|float|double|Long|Int", "#", reason[1] + reason[2])}
    single.add(outcome)
    pairs = {f"{a} & {b}" for a in args for b in args if a < b}
    return {(f, 1.0) for f in single} | {(f, 0.15) for f in pairs}


def substantial(case):
    """Numbers go in, and a gradient flows."""
    floats = [a for n, a in case.tensors.items() if torch_cases.floating(a) and not n.startswith("grad_output")]
    return all(a.size for a in case.tensors.values()) and any(n.startswith("grad_output") for n in case.tensors) \
        and max((a.size for a in floats), default=0) >= 6


def mixes_precisions(case):
    """Such a case is compared loosely; fixtures go without, so that the dtype alone decides the tolerance."""
    floats = {a.dtype for a in case.tensors.values() if torch_cases.floating(a)}
    return len(floats) > 1 and case.op not in ("cat", "stack")


def chosen(op, count, scratch, source=torch_cases, drawn=DRAWN):
    """The `count` cases of an op that show most for their size."""
    pool = []
    for number in range(drawn):
        case, name = source.draw_case(op, number, SEED), f"{op}_{number:04d}"
        source.write_case(scratch, name, case)
        tensors, mark = torch_cases.expected_of(scratch, name)
        if mark.startswith("may ") or (mixes_precisions(case) and tensors is not None):
            continue
        files = [scratch / "cases" / f"{name}.safetensors"] + list((scratch / "expected").glob(name + ".*"))
        outcome = files[1].read_text() if tensors is None else "mark " + mark
        seen = features(case, outcome)
        if tensors is None:
            seen = {(f, 10.0) for f in seen}
        seen |= {(part, 8.0) for part in mark.split("; ") if part}
        worth = 1.0 if tensors is None or substantial(case) else 0.2
        pool.append((case, seen, worth / (sum(f.stat().st_size for f in files) + 4000), tensors is None))
    known, picked, refusals = set(), [], 0
    while len(picked) < count:
        allowed = [p for p in pool if not (p[3] and refusals >= max(1, round(count * 0.3)))]
        best = max(allowed, key=lambda p: math.fsum(w for _, w in p[1] - known) * p[2])
        pool.remove(best)
        known |= best[1]
        refusals += best[3]
        picked.append(best)
    picked.sort(key=lambda p: p[3])  # refusals last
    return [p[0] for p in picked]


# ------------------------------------------------------------------------------------------------- named cases

def fill(start, *shape):
    """value k = ((37 k) mod 101 - 50) / 100, k running on from `start`"""
    k = np.arange(start, start + math.prod(shape))
    return (((37 * k) % 101 - 50) / 100).reshape(shape)


class Filler:
    def __init__(self, dtype):
        self.k, self.dtype = 0, dtype

    def __call__(self, *shape):
        array = fill(self.k, *shape).astype(self.dtype)
        self.k += math.prod(shape)
        return array


def lstm_case(dtype, I, H, T, B, args, states=False, outs=("output", "h_n", "c_n"), wanted=None):
    """Parameters in their order, then input, h_0 and c_0, all by the rule of `fill`; the gradient that flows into
    output, h_n and c_n is 1, 2 and 3 everywhere."""
    more, layers = Filler(dtype), args.get("num_layers", 1)
    directions, proj = 1 + args.get("bidirectional", False), args.get("proj_size", 0)
    P, t = proj or H, {}
    for layer in range(layers):
        for suffix in ("", "_reverse")[:directions]:
            t[f"weight_ih_l{layer}{suffix}"] = more(4 * H, I if layer == 0 else directions * P)
            t[f"weight_hh_l{layer}{suffix}"] = more(4 * H, P)
            t[f"bias_ih_l{layer}{suffix}"], t[f"bias_hh_l{layer}{suffix}"] = more(4 * H), more(4 * H)
            if proj:
                t[f"weight_hr_l{layer}{suffix}"] = more(proj, H)
    t["input"] = more(T, B, I)
    if states:
        t["h_0"], t["c_0"] = more(layers * directions, B, P), more(layers * directions, B, H)
    wanted = list(t) if wanted is None else wanted
    shapes = {"output": (T, B, directions * P), "h_n": (layers * directions, B, P), "c_n": (layers * directions, B, H)}
    for k, name in enumerate(shapes):
        if name in outs:
            t[f"grad_output.{name}"] = np.full(shapes[name], k + 1.0, dtype)
    return Case("lstm", {"hidden_size": H, **args}, t, wanted)


def near(answer, **expected):
    """The numbers as the documents give them, by another hand than the one that wrote this file."""
    for name, value in expected.items():
        got = answer[name.replace("__", ".")]
        if not np.allclose(got, np.array(value), rtol=0, atol=6e-10):
            sys.exit(f"make_golden: {name} is {got}, not {value}")


def named():
    """name -> (case, check of its answer or None)"""
    cases = {}

    # What the documentation of Embedding, LSTM and Linear shows.
    printed = np.array([[-1.7372, -0.7281, -1.9509], [-1.1080, 0.7775, -0.7351], [0.9606, 2.3034, 1.1976],
                        [-0.6429, 2.1996, -0.0045], [-0.6949, -1.9427, -0.3486], [-2.4980, -0.7219, 1.0658],
                        [-1.4095, 1.7520, 0.7215], [-0.2162, 0.7108, 0.9062], [-2.3733, 0.1184, -0.9335],
                        [-0.0870, 0.1308, -0.6418]], F32)
    two_by_four = np.array([[1, 2, 4, 5], [4, 3, 2, 9]])
    cases["documents_embedding"] = Case("embedding", {}, {
        "input": two_by_four, "weight": printed, "grad_output": fill(0, 2, 4, 3).astype(F32)}, ["weight"])
    padded = printed.copy()
    padded[0] = 0
    cases["documents_embedding_padding_idx"] = Case("embedding", {"padding_idx": 0}, {
        "input": np.array([[0, 2, 0, 5]]), "weight": padded, "grad_output": fill(0, 1, 4, 3).astype(F32)}, ["weight"])
    cases["documents_lstm_10_20_2"] = lstm_case(F32, 10, 20, 5, 3, {"num_layers": 2}, states=True)
    cases["documents_lstm_batch_of_one"] = lstm_case(F32, 6, 6, 5, 1, {})  # view(len, 1, -1)
    cases["documents_lstm_output_view"] = Case("reshape", {"shape": [5, 3, 2, 7]}, {
        "input": fill(0, 5, 3, 14).astype(F32), "grad_output": fill(3, 5, 3, 2, 7).astype(F32)}, ["input"])
    cases["documents_lstm_h_n_view"] = Case("reshape", {"shape": [2, 2, 3, -1]}, {
        "input": fill(0, 4, 3, 7).astype(F32), "grad_output": fill(3, 2, 2, 3, 7).astype(F32)}, ["input"])
    cases["documents_linear_20_30"] = Case("linear", {}, {
        "input": fill(0, 128, 20).astype(F32), "weight": fill(7, 30, 20).astype(F32),
        "bias": fill(9, 30).astype(F32)}, [])
    scores = fill(0, 5, 3).astype(F32)
    cases["documents_tag_scores"] = Case("log_softmax", {"dim": 1}, {
        "input": scores, "grad_output": fill(2, 5, 3).astype(F32)}, ["input"])
    cases["documents_tag_loss"] = Case("nll_loss", {}, {
        "input": scores, "target": np.array([0, 1, 2, 0, 1]), "grad_output": np.array(1, F32)}, ["input"])

    # Filled networks; the sums are checked against numbers written down elsewhere.
    one = lstm_case(F64, 2, 3, 4, 1, {})
    cases["lstm_filled"] = one, lambda a: (
        near(a, output__h_n=[[[-.093308347, .172832403, .082716794]]],
             output__c_n=[[[-.206572260, .497522976, .283334890]]]),
        near({"out": a["output.output"].sum(), "dx": a["grad.input"][0, 0], "ih": a["grad.weight_ih_l0"].sum(),
              "hh": a["grad.weight_hh_l0"].sum(), "b": a["grad.bias_hh_l0"].sum()}, out=.490840601,
             dx=[-.304593026, .031433525], ih=2.353187363, hh=1.672450074, b=15.582070227))
    two = lstm_case(F64, 2, 3, 4, 1, {"num_layers": 2, "bidirectional": True, "proj_size": 2})
    cases["lstm_filled_all_options"] = two, lambda a: (
        near(a, output__h_n=np.reshape([-.083432920, -.074402391, .014974809, -.094509731, -.091800365, -.104659965,
                                        -.122459023, -.123345369], (4, 1, 2))),
        near({"last": a["output.output"][-1, 0], "out": a["output.output"].sum(), "dx": a["grad.input"][0, 0],
              "ih": a["grad.weight_ih_l0"].sum(), "hr": a["grad.weight_hr_l0"].sum()}, out=-1.412183831,
             last=[-.091800365, -.104659965, -.059708459, -.058467975], dx=[1.047601604, -.345544945],
             ih=-1.490175726, hr=.445692081))
    for out in ("h_n", "c_n"):
        cases[f"lstm_gradient_from_{out}_alone"] = lstm_case(
            F32, 2, 3, 3, 2, {"num_layers": 2, "bidirectional": True}, states=True, outs=(out,))
    ragged = lstm_case(F64, 2, 3, 4, 4, {"bidirectional": True, "enforce_sorted": False}, states=True)
    ragged.tensors["lengths"] = np.array([2, 0, 4, 3])
    cases["lstm_unsorted_and_zero_lengths"] = ragged

    cases["lstm_no_time_steps"] = lstm_case(F32, 2, 3, 0, 2, {"bidirectional": True}, states=True)

    z, y = np.array([[.1, .9, -.4], [1.2, 0, .3], [-.5, .2, 2]]), np.array([1, 0, 2])
    w = np.array([1., 2., .5])
    for name, value, args, weight in (
            ("plain", .433212948871, {}, None), ("weight", .495005758403, {}, w),
            ("smoothing", .527657393315, {"label_smoothing": .1}, None),
            ("weight_smoothing", .587874096498, {"label_smoothing": .1}, w),
            ("weight_smoothing_ignore", .567381901236, {"label_smoothing": .1, "ignore_index": 0}, w),
            ("weight_sum", 1.732520154412, {"reduction": "sum"}, w)):
        tensors = {"input": z, "target": y, "grad_output": np.array(1.)}
        if weight is not None:
            tensors["weight"] = weight
        cases[f"cross_entropy_{name}"] = (Case("cross_entropy", args, tensors, ["input"]),
                                          lambda a, value=value: near(a, output=value))
    cases["cross_entropy_all_ignored"] = Case("cross_entropy", {"ignore_index": 1}, {
        "input": z.astype(F32), "target": np.array([1, 1, 1]), "grad_output": np.array(1, F32)}, ["input"])
    cases["cross_entropy_int32_targets"] = Case("cross_entropy", {"reduction": "none"}, {
        "input": z.astype(F32), "target": y.astype(I32), "grad_output": np.array([1, 2, 3], F32)}, ["input"])
    cases["cross_entropy_negative_smoothing"] = Case("cross_entropy", {"label_smoothing": -0.1},
                                                     {"input": z, "target": y}, [], "invalid")

    # Corners that a random draw meets too seldom.
    cases["matmul_nothing_to_sum"] = Case("matmul", {}, {
        "input": np.zeros((2, 0), F32), "other": np.zeros((0, 3), F32), "grad_output": np.ones((2, 3), F32)},
        ["input", "other"])
    cases["matmul_broadcast_batches"] = Case("matmul", {}, {
        "input": fill(0, 2, 1, 3, 4), "other": fill(5, 5, 4, 2), "grad_output": fill(9, 2, 5, 3, 2)}, ["input", "other"])
    cases["sum_two_dims"] = Case("sum", {"dim": [-1, 0], "keepdim": True}, {
        "input": fill(0, 2, 3, 4).astype(F32), "grad_output": fill(5, 1, 3, 1).astype(F32)}, ["input"])
    for name, index in (("too_large", 10), ("negative", -1)):
        cases[f"embedding_index_{name}"] = Case("embedding", {}, {
            "input": np.array([[1, 2], [index, 4]]), "weight": printed}, [], "invalid")
    cases["mean_of_nothing"] = Case("mean", {"dim": 0}, {
        "input": np.zeros((0, 2), F32), "grad_output": np.ones(2, F32)}, ["input"])
    cases["add_scalar_tensor_keeps_float32"] = Case("add", {}, {
        "input": fill(0, 2, 3).astype(F32), "other": np.array(0.25, F64)}, [])
    cases["div_integers"] = Case("div", {}, {"input": np.array([7, -3, 0, 5]), "other": np.array([2, 4, 0, 0], I32)}, [])
    cases["cat_legacy_empty"] = Case("cat", {"dim": 1}, {
        "input.0": np.zeros(0, F32), "input.1": fill(0, 2, 3).astype(F32), "input.2": fill(6, 2, 1).astype(F32),
        "grad_output": fill(0, 2, 4).astype(F32)}, ["input.0", "input.1", "input.2"])
    bases, exponents = np.array([0, 0, 0, -1, 2, -2, 0.]), np.array([0, 1, -1, 0, 0, 1.5, 2.])
    cases["pow_at_zero"] = Case("pow", {}, {"input": bases, "exponent": exponents, "grad_output": np.ones(7)},
                                ["input", "exponent"])
    cases["pow_zero_exponent"] = Case("pow", {"exponent": 0}, {
        "input": np.array([0, -1, np.inf, np.nan]), "grad_output": np.ones(4)}, ["input"])
    ties = np.array([[1, 3, 3], [2, 2, 2], [np.nan, 1, np.nan]])
    cases["max_ties"] = Case("max", {"dim": 1}, {"input": ties, "grad_output.values": np.array([1., 2, 3])}, ["input"])
    cases["max_all_ties"] = Case("max", {}, {"input": ties[:2], "grad_output": np.array(1.)}, ["input"])
    cases["max_all_nan"] = Case("max", {}, {"input": ties, "grad_output": np.array(1.)}, ["input"])
    cases["amax_ties"] = Case("amax", {"dim": 1}, {"input": ties, "grad_output": np.array([1., 2, 3])}, ["input"])
    cases["clamp_at_the_bounds"] = Case("clamp", {"min": 1, "max": 2}, {
        "input": np.array([0, 1, 1.5, 2, 3, np.nan, np.inf]), "grad_output": np.ones(7)}, ["input"])
    cases["logsumexp_infinite"] = Case("logsumexp", {"dim": 1}, {
        "input": np.array([[-np.inf, -np.inf], [np.inf, -np.inf], [-np.inf, 2]]), "grad_output": np.ones(3)}, ["input"])
    cases["bce_large_logits"] = Case("binary_cross_entropy_with_logits", {"reduction": "none"}, {
        "input": np.array([1e4, -1e4, 1e4, -1e4, 100], F32), "target": np.array([1, 0, 0, 1, 0.5], F32),
        "grad_output": np.ones(5, F32)}, ["input", "target"])
    logits, targets = (grid.reshape(-1) for grid in np.meshgrid([-np.inf, -2, 0, 3, np.inf],
                                                                [-np.inf, -1, 0, 0.5, 1, 2, np.inf, np.nan]))
    for name, weights in {"": {}, "_weight": {"weight": np.array(np.inf)}, "_pos_weight": {"pos_weight": np.array(2.)},
                          "_infinite_pos_weight": {"pos_weight": np.array(np.inf)}}.items():
        cases["bce_infinite" + name] = Case("binary_cross_entropy_with_logits", {"reduction": "none"}, {
            "input": logits, "target": targets, "grad_output": fill(1, logits.size), **weights}, ["input", "target"])
    for name, smoothing in (("", 0.0), ("_smoothed", 0.25)):
        cases["cross_entropy_ignored_nan" + name] = Case("cross_entropy", {"label_smoothing": smoothing}, {
            "input": np.array([[np.nan, 1], [1, 2], [np.inf, 0]]), "target": np.array([-100, 1, -100]),
            "grad_output": np.array(1.)}, ["input"])
        cases["cross_entropy_no_classes" + name] = Case(
            "cross_entropy", {"label_smoothing": smoothing, "reduction": "none"},
            {"input": np.zeros((2, 0)), "target": np.array([-100, -100]), "grad_output": np.ones(2)}, ["input"])
    cases["embedding_of_integers"] = Case("embedding", {}, {
        "input": np.array([2, 0]), "weight": np.array([[1, 2], [3, 4], [5, 6]], I32)})
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 90, -90], F32)
    for op in ("relu", "sigmoid", "tanh", "exp", "log", "sqrt", "abs", "square", "logsigmoid"):
        cases[f"{op}_special_values"] = Case(op, {}, {"input": special, "grad_output": fill(1, 9).astype(F32)},
                                             ["input"])
    return {n: c if isinstance(c, tuple) else (c, None) for n, c in cases.items()}


def named_bags():
    """name -> (case, numbers that its answer is to have)"""
    one, two = np.array([[1., 2], [3, 4], [5, 6]]), np.array([0, 2, 1])
    printed = named()["documents_embedding"][0].tensors["weight"]

    def bag(args, input_, offsets=None, weight=one, weights=None, grad=None):
        t = {"input": np.array(input_), "weight": np.array(weight)}
        if offsets is not None:
            t["offsets"] = np.array(offsets)
        if weights is not None:
            t["per_sample_weights"] = np.array(weights, F64)
        if grad is not None:
            t["grad_output"] = np.array(grad, t["weight"].dtype)
        wanted = [n for n in ("weight", "per_sample_weights") if n in t and grad is not None]
        return Case("embedding_bag", args, t, wanted)

    ones = np.ones((2, 2))
    half = bag_cases.narrowed(np.array([[60000.]]), np.float16)
    counts = bag({"mode": "sum"}, np.zeros((1, 300), I32), weight=one[:1, :1].astype(F32))
    counts.tensors["weight"] = bag_cases.narrowed(np.ones((1, 1)), bag_cases.BF16)
    counts.tensors["grad_output"] = bag_cases.narrowed(np.ones((1, 1)), bag_cases.BF16)
    counts.requires_grad = ["weight"]
    return {
        "documents_embedding_bag": (bag({"mode": "sum"}, [1, 2, 4, 5, 4, 3, 2, 9], [0, 4], printed, grad=ones[:, [0] * 3]),
                                    {}),
        "bag_empty_ones": (bag({"mode": "max", "sparse": True}, two, [0, 2, 2], grad=[[1, 2], [3, 4], [5, 6]]),
                           {"output": [[5, 6], [0, 0], [3, 4]], "grad.weight.values": [[0, 0], [5, 6], [1, 2]]}),
        "bag_weighted_mean": (bag({}, [[0, 1], [1, 2]], weights=[[3, 1], [.5, .5]], grad=ones),
                              {"output": [[1.5, 2.5], [4, 5]], "grad.per_sample_weights": [[-.25, .75], [-2, 2]],
                               "grad.weight": [[.75, .75], [.75, .75], [.5, .5]]}),
        "bag_weighted_mean_of_zero": (bag({}, [[0, 1], [1, 2]], weights=[[1, -1], [1, 1]], grad=ones),
                                      {"output": [[0, 0], [4, 5]], "grad.per_sample_weights": [[0, 0], [-1, 1]],
                                       "grad.weight": [[0, 0], [.5, .5], [.5, .5]]}),
        "bag_weighted_mean_of_zero_infinite": (
            bag({}, [[0, 1]], weights=[[1, -1]], grad=[[np.inf, np.nan]]),
            {"output": [[0, 0]], "grad.per_sample_weights": [[0, 0]], "grad.weight": [[0, 0], [0, 0], [0, 0]]}),
        "bag_weighted_max": (bag({"mode": "max"}, [[0, 1, 2]], weights=[[1, -1, .5]], grad=ones[:1]),
                             {"output": [[2.5, 3]], "grad.per_sample_weights": [[0, 0, 11]],
                              "grad.weight": [[0, 0], [0, 0], [.5, .5]]}),
        "bag_max_first_of_equals": (bag({"mode": "max", "scale_grad_by_freq": True}, [[1, 0, 1]], grad=ones[:1]),
                                    {"output": [[3, 4]], "grad.weight": [[0, 0], [.5, .5], [0, 0]]}),
        "bag_max_nan": (bag({"mode": "max"}, [[0, 1, 2]], weight=[[1, 2], [np.nan, 4], [5, 6]], grad=ones[:1]),
                        {"output": [[np.nan, 6]], "grad.weight": [[0, 0], [1, 0], [0, 1]]}),
        "bag_padding_only": (bag({"padding_idx": -1}, [[2, 2], [2, 0]], grad=ones),
                             {"output": [[0, 0], [1, 2]], "grad.weight": [[1, 1], [0, 0], [0, 0]]}),
        "bag_max_norm": (bag({"max_norm": 1.0}, [[0, 0]], weight=[[3, 4], [3, 4.]]),
                         {"mutated.weight": [[.599999988, .799999984], [3, 4]]}),
        "bag_half_mean": (bag({}, [[0, 0]], weight=half), {"output": [[60000]]}),
        "bag_bfloat16_counts_past_256": (counts, {"output": [[300]], "grad.weight": [[300]]}),
        "bag_of_no_indices": (bag({}, np.zeros((2, 0), I64), grad=ones), {"output": [[0, 0], [0, 0]]}),
        "bag_offsets_fall": (bag({"mode": "sum"}, two, [0, 2, 1]), None),
        "bag_indices_left_over": (bag({"mode": "sum", "include_last_offset": True}, two, [0, 2]), None),
        "bag_indices_without_bags": (bag({"mode": "max"}, two, np.zeros(0, I64)), None),
        "bag_max_norm_negative": (bag({"max_norm": -1.0}, [[0]]), None),
    }


def write_bags(out):
    for name, (case, numbers) in named_bags().items():
        refused, _ = bag_cases.write_case(out, name, case)
        if refused != (numbers is None):
            sys.exit(f"make_golden: {name}: {'refused' if refused else 'accepted'}")
        got = {} if refused else {n: bag_cases.widened(a) if d == "F64" else a for n, (d, a) in
                                  torch_cases.read_tensors(out / "expected" / f"{name}.safetensors")[0].items()}
        for part, value in (numbers or {}).items():
            if not np.allclose(got[part].astype(F64), np.array(value), rtol=5e-4, atol=1e-7, equal_nan=True):
                sys.exit(f"make_golden: {name}: {part} is {got[part]}, not {value}")
    count = len(named_bags())
    for family, number in PER_FAMILY.items():
        with tempfile.TemporaryDirectory() as scratch:
            for k, case in enumerate(chosen(family, number, pathlib.Path(scratch), bag_cases, 600)):
                bag_cases.write_case(out, f"random_{family}_{k:02d}", case)
                count += 1
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=HERE, metavar="DIR")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    torch_cases.warnings.simplefilter("ignore")
    for part in ("cases", "expected"):
        shutil.rmtree(out / part, ignore_errors=True)
    count = 0
    for name, (case, check) in named().items():
        outcome = torch_cases.write_case(out, name, case)
        if outcome not in ("valid", "invalid"):
            sys.exit(f"make_golden: {name}: {outcome}")
        if check:
            check(torch_cases.answer(case)[0])
        count += 1
    for op, number in PER_OP.items():
        with tempfile.TemporaryDirectory() as scratch:
            for k, case in enumerate(chosen(op, number, pathlib.Path(scratch))):
                torch_cases.write_case(out, f"{op}_{k:02d}", case)
                count += 1
    count += write_bags(out)
    size = sum(f.stat().st_size for part in ("cases", "expected") for f in (out / part).iterdir())
    print(f"{count} cases, {size} bytes")


if __name__ == "__main__":
    main()
