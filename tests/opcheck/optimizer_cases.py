#!/usr/bin/env python3
"""Random cases of the optimizers for `opcheck`, and the comparison with what they have to give.

    python3 tests/opcheck/optimizer_cases.py make DIR --count 1000 --seed 1      # DIR/cases, DIR/expected
    build/…/opcheck DIR/cases DIR/results
    python3 tests/opcheck/optimizer_cases.py compare DIR DIR/results             # exit status 1: something differs

    … make DIR --optimizer SGD                 only this one (may be repeated)
    … make DIR --only Adam_00017               one case again, by name, with the same --seed

Drawn are all optimizers and options, one to three parameters, dense and sparse gradients side by side (duplicates, any
order, without rows, none at all), learning rates for each step, options changed on the way, lookups in between, saving
and loading, frozen rows, the three modes, float64, float32 and 16 bits; about an eighth of the cases are invalid. Files
and tolerances are those of torch_cases.py.

What is expected: the parameters and state of a dense run of PyTorch on the same gradients made dense. Where a row has to
stand still (a frozen one; with `touched_only` every row without a gradient), it and its state are put back after each
step. SparseAdam is PyTorch's own. PyTorch has no Lion, RowwiseAdagrad and SGDW: these are written here, after Chen et
al. (2023), FBGEMM's EXACT_ROWWISE_ADAGRAD, and Loshchilov and Hutter (2019).

Left out is what no method reproduces: decay in the gradient under an adaptive rule with lr · weight_decay / eps so large
that rows without a gradient oscillate (see `calm`). `make` needs PyTorch; `compare` does not.
"""

import argparse
import collections
import pathlib
import sys
import warnings

import numpy as np

import bag_cases
import torch_cases
from bag_cases import BF16, F16, from_torch, narrowed, to_torch
from torch_cases import Case, Draw, F32, F64, I32, I64, REFUSALS, Refused, torch

# ------------------------------------------------------------------------------ the optimizers that PyTorch lacks

OURS = ("Lion", "RowwiseAdagrad", "SGDW")

if torch is not None:
    class Own(torch.optim.Optimizer):
        """One group after the other, one parameter after the other; `move(p, g, state, group)` does the rest."""

        def __init__(self, params, **options):
            unknown = set(options) - set(self.defaults_)
            if unknown:
                raise TypeError(f"unknown options {unknown}")
            options = {**self.defaults_, **options}
            for name, value in options.items():
                if name == "betas":
                    bad = not all(0 <= b < 1 for b in value)
                else:
                    bad = not isinstance(value, bool) and not 0 <= value < float("inf") and name != "dampening"
                if bad:
                    raise ValueError(f"invalid {name}: {value}")
            if options.get("nesterov") and (options["momentum"] <= 0 or options["dampening"] != 0):
                raise ValueError("nesterov needs a momentum and no dampening")
            super().__init__(params, options)

        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self.move(p, -p.grad if group["maximize"] else p.grad, self.state[p], group)

    class Lion(Own):
        defaults_ = {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0, "maximize": False}

        def move(self, p, g, state, group):
            m, (b1, b2) = state.setdefault("exp_avg", torch.zeros_like(p)), group["betas"]
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.sub_(group["lr"] * torch.sign(b1 * m + (1 - b1) * g))
            m.copy_(b2 * m + (1 - b2) * g)

    class RowwiseAdagrad(Own):
        defaults_ = {"lr": 1e-2, "lr_decay": 0.0, "weight_decay": 0.0, "initial_accumulator_value": 0.0, "eps": 1e-10,
                     "maximize": False}

        def move(self, p, g, state, group):
            rows = p.shape[:1]
            total = state.setdefault("sum", torch.full(rows, group["initial_accumulator_value"], dtype=p.dtype))
            state["step"] = state.get("step", 0) + 1
            g = g + group["weight_decay"] * p
            total.add_((g * g).flatten(1).mean(1))
            lr = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
            p.sub_(lr * g / (total.sqrt() + group["eps"]).reshape(rows + (1,) * (p.dim() - 1)))

    class SGDW(Own):
        defaults_ = {"lr": 1e-3, "momentum": 0.0, "dampening": 0.0, "weight_decay": 1e-2, "nesterov": False,
                     "maximize": False}

        def move(self, p, g, state, group):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            mu = group["momentum"]
            if mu:
                if "momentum_buffer" in state:
                    state["momentum_buffer"].mul_(mu).add_(g, alpha=1 - group["dampening"])
                else:
                    state["momentum_buffer"] = g.clone()
                g = g + mu * state["momentum_buffer"] if group["nesterov"] else state["momentum_buffer"]
            p.sub_(group["lr"] * g)


def engine_of(name):
    return globals()[name] if name in OURS else getattr(torch.optim, name)


def for_torch(options):
    return {n: tuple(v) if n == "betas" else v for n, v in options.items()}


# --------------------------------------------------------------------------------------------- what is expected

def mode_of(args):
    return args.get("updates") or "exact"


def sparse_gradient(t, name, frozen):
    """(rows, values) of a sparse gradient, frozen rows left out."""
    rows, values = to_torch(t[f"{name}.indices"]).long(), to_torch(t[f"{name}.values"])
    keep = ~torch.isin(rows, torch.tensor(frozen, dtype=torch.long))
    return rows[keep], values[keep]


def put_back(param, state, before, before_state, rows, start):
    """The rows as they were; state that has come into being meanwhile starts with `start` there."""
    param.data[rows] = before[rows]
    for name, value in state.items():
        if torch.is_tensor(value) and value.dim() and value.shape[0] == param.shape[0]:
            value[rows] = before_state[name][rows] if name in before_state else start


def train(case):
    """{name: array} after the last step."""
    args, t, name = case.args, case.tensors, case.args["optimizer"]
    params = []
    while f"param.{len(params)}" in t:
        params.append(torch.nn.Parameter(to_torch(t[f"param.{len(params)}"])))
    options = for_torch(args.get("options", {}))
    engine = engine_of(name)(params, **options)
    frozen = [rows or [] for rows in args.get("frozen_rows", [None] * len(params))]
    for step in range(args["steps"]):
        changes = for_torch(args.get("options_at", {}).get(str(step), {}))
        if changes:
            options = {**options, **changes}
            engine_of(name)([torch.nn.Parameter(torch.zeros(1))], **options)  # it looks at options only when it is made
            engine.param_groups[0].update(changes)
        if "lr" in args:
            engine.param_groups[0]["lr"] = args["lr"][step]
        kept = []
        for k, param in enumerate(params):
            key, still = f"grad.{step}.{k}", list(frozen[k])
            param.grad = None
            if key in t:
                param.grad = to_torch(t[key])
                if param.grad.dtype != param.dtype:
                    raise Refused("the gradient's type")
            elif f"{key}.indices" in t:
                rows, values = sparse_gradient(t, key, frozen[k])
                gradient = torch.sparse_coo_tensor(rows[None], values, param.shape, check_invariants=True)
                if gradient.dtype != param.dtype:
                    raise Refused("the gradient's type")
                param.grad = gradient if name == "SparseAdam" else gradient.to_dense()
                if mode_of(args) == "touched_only" and name != "SparseAdam":
                    still = sorted(set(range(param.shape[0])) - set(rows.tolist()))
            state = {n: v.clone() for n, v in engine.state.get(param, {}).items() if torch.is_tensor(v)}
            kept.append((still, param.detach().clone(), state))
        engine.step()
        for param, (still, before, state) in zip(params, kept):
            if still:
                put_back(param, engine.state.get(param, {}), before, state, still,
                         engine.param_groups[0].get("initial_accumulator_value", 0))
    result = {f"param.{k}": p for k, p in enumerate(params)}
    for k, param in enumerate(params):
        for n, value in ({} if name in OURS else engine.state.get(param, {})).items():
            if torch.is_tensor(value):
                result[f"state.{k}.{n}"] = value
    return {n: from_torch(p) for n, p in result.items()}


def answer(case):
    """(tensors or None, why it is refused)"""
    if case.intent == "invalid" and case.mark:
        return None, case.mark
    try:
        return train(case), None
    except REFUSALS as error:
        return None, f"{type(error).__name__}: " + (str(error).strip() or "refused").splitlines()[0][:200]


def write_case(directory, name, case):
    """Writes the pair of files. Returns "answered" or "refused", or what is wrong with the case."""
    directory = pathlib.Path(directory)
    for part in ("cases", "expected"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    for old in (f"{name}.safetensors", f"{name}.error"):
        (directory / "expected" / old).unlink(missing_ok=True)
    torch_cases.write_tensors(directory / "cases" / f"{name}.safetensors", case.tensors, {"case": case.to_json()})
    tensors, why = answer(case)
    if tensors is None:
        (directory / "expected" / f"{name}.error").write_text(f"any\n\n{why}\n")
        return "refused" if case.intent == "invalid" else f"drawn as valid, but refused: {why}"
    torch_cases.write_tensors(directory / "expected" / f"{name}.safetensors", tensors)
    if case.intent == "invalid":
        return "drawn as invalid, but accepted"
    strange = [n for n, a in tensors.items() if not np.isfinite(bag_cases.widened(a)).all()]
    return f"not finite: {strange}" if strange else "answered"


# ------------------------------------------------------------------------------------------------- the drawing

def maybe(d, p, options, name, values, weights=None):
    if d.chance(p):
        options[name] = d.pick(values, weights)


def draw_sgd(d, options):
    maybe(d, 0.7, options, "momentum", [0.9, 0.5, 0.0, 0.99])
    if options.get("momentum") and d.chance(0.35):
        options["nesterov"] = True
    else:
        maybe(d, 0.35, options, "dampening", [0.5, 0.1, 1.0])


def draw_betas(d, options):
    maybe(d, 0.5, options, "betas", [[0.9, 0.99], [0.9, 0.98], [0.9, 0.95], [0.95, 0.98], [0.5, 0.9], [0.0, 0.999],
                                     [0.99, 0.999], [0.9, 0.9], [0.8, 0.5]])


def draw_adam(d, options):
    draw_betas(d, options)
    maybe(d, 0.4, options, "eps", [1e-3, 1e-6, 0.1, 1e-10])


def draw_adam_or_amsgrad(d, options):
    draw_adam(d, options)
    maybe(d, 0.35, options, "amsgrad", [True])


def draw_nadam(d, options):
    draw_adam(d, options)
    maybe(d, 0.3, options, "momentum_decay", [0.0, 0.01, 0.1])
    maybe(d, 0.4, options, "decoupled_weight_decay", [True])


def draw_radam(d, options):
    draw_adam(d, options)
    maybe(d, 0.4, options, "decoupled_weight_decay", [True])


def draw_adagrad(d, options):
    maybe(d, 0.4, options, "lr_decay", [0.1, 0.01, 1.0])
    maybe(d, 0.4, options, "initial_accumulator_value", [0.1, 1.0])
    maybe(d, 0.3, options, "eps", [1e-3, 0.1, 1e-6])


def draw_rmsprop(d, options):
    maybe(d, 0.5, options, "alpha", [0.9, 0.5, 0.999])
    maybe(d, 0.5, options, "momentum", [0.9, 0.5])
    maybe(d, 0.3, options, "centered", [True])
    maybe(d, 0.3, options, "eps", [1e-3, 1e-6, 0.1])
    if options.get("centered"):  # a variance of almost nothing is not to be divided by
        options["eps"] = max(options.get("eps", 0), 1e-3)


# name -> (options of its own, options that may change on the way)
RULES = {
    "SGD": (draw_sgd, ("momentum", "weight_decay", "dampening", "maximize")),
    "SGDW": (draw_sgd, ("momentum", "weight_decay", "dampening", "maximize")),
    "Adam": (draw_adam_or_amsgrad, ("betas", "eps", "weight_decay", "maximize")),
    "AdamW": (draw_adam_or_amsgrad, ("betas", "eps", "weight_decay", "maximize")),
    "Adamax": (draw_adam, ("betas", "eps", "weight_decay")),
    "NAdam": (draw_nadam, ("betas", "eps", "weight_decay", "momentum_decay")),
    "RAdam": (draw_radam, ("betas", "eps", "weight_decay")),
    "SparseAdam": (draw_adam, ("betas", "eps")),
    "Adagrad": (draw_adagrad, ("lr_decay", "eps", "weight_decay")),
    "RowwiseAdagrad": (draw_adagrad, ("lr_decay", "eps", "weight_decay")),
    "RMSprop": (draw_rmsprop, ("alpha", "eps", "weight_decay", "momentum")),
    "Lion": (draw_betas, ("betas", "weight_decay")),
}
DECAYS_WEIGHTS_THEMSELVES = ("AdamW", "SGDW", "Lion")


def draw_change(d, name, options):
    """One to two options that change on the way, to what is valid beside the others."""
    change = {}
    for field in d.subset(RULES[name][1], 0.0) or [d.pick(RULES[name][1])]:
        if field == "momentum":
            if name == "RMSprop":  # PyTorch makes the buffer at the first step or never
                if not options.get("momentum"):
                    continue
            elif options.get("nesterov"):
                change[field] = d.pick([0.5, 0.95])
                continue
            change[field] = d.pick([0.0, 0.5, 0.95])
        elif field == "dampening":
            if not options.get("nesterov"):
                change[field] = d.pick([0.0, 0.3])
        else:
            change[field] = d.pick({"weight_decay": [0.0, 0.02, 0.3], "betas": [[0.7, 0.95], [0.95, 0.999]],
                                    "eps": [1e-4, 1e-2], "maximize": [True, False], "momentum_decay": [0.0, 0.02],
                                    "lr_decay": [0.0, 0.05], "alpha": [0.95, 0.6]}[field])
    if d.chance(0.3):
        change["lr"] = d.pick([0.03, 0.003] if name == "SparseAdam" else [0.0, 0.03, 0.003])
    return change


def calm(name, args):
    """Raises eps until decay in the gradient cannot make rows without gradients oscillate."""
    if name in DECAYS_WEIGHTS_THEMSELVES + ("SGD", "SparseAdam", "Adagrad", "RowwiseAdagrad"):
        return
    options, changes = args["options"], list(args.get("options_at", {}).values())
    if options.get("decoupled_weight_decay"):
        return
    given = [options] + changes
    lr = max([o.get("lr", 0.01) for o in given] + args.get("lr", []))
    decay = max(o.get("weight_decay", 0) for o in given)
    least = lr * decay / 0.5
    for o in given:
        if "eps" in o or o is options:
            o["eps"] = max(o.get("eps", 1e-8), least)


def draw_lrs(d, steps):
    how = d.pick(["random", "cosine", "warm-up", "pauses"])
    ramp = (np.arange(steps) + 1) / max(steps, 1)
    if how == "random":
        lrs = d.r.random(steps) * 0.1
    elif how == "cosine":
        lrs = 0.05 * (1 + np.cos(np.pi * ramp)) / 2
    elif how == "warm-up":
        lrs = 0.05 * np.minimum(1, (ramp - ramp[:1]) * 3) if steps else ramp
    else:
        lrs = 0.03 * (d.r.random(steps) < 0.6)
    return [float(v) for v in np.round(lrs, 6)]


def draw_gradients(d, name, args, t, k, dtype):
    """Of one parameter, at every step."""
    shape, steps = t[f"param.{k}"].shape, args["steps"]
    only_sparse = name == "SparseAdam"
    dense = 0.0 if only_sparse else d.pick([0.0, 0.1, 1.0], [0.6, 0.3, 0.1]) if len(shape) == 2 else 1.0
    missing = d.pick([0.0, 0.3, 1.0], [0.65, 0.3, 0.05])
    scale = 10.0 ** d.pick([0, -1, -3])
    hot = d.integer(1, max(shape[0], 1)) if len(shape) == 2 else 0
    for step in range(steps):
        if d.chance(missing):
            continue
        key = f"grad.{step}.{k}"
        if d.chance(dense):
            t[key] = narrowed(np.zeros(shape) if d.chance(0.1) else d.values(shape, F64, scale=scale), dtype)
            continue
        rows, width = shape
        n = d.pick([0, 1, 2, 3, 3 * rows], [0.1, 0.4, 0.25, 0.2, 0.05]) if rows else 0
        t[f"{key}.indices"] = d.indices([n], hot if d.chance(0.7) else rows)
        values = d.values([n, width], F64, scale=scale)
        if n and d.chance(0.05):
            values[0] = 0
        t[f"{key}.values"] = narrowed(values, dtype)


def draw_case(name, number, seed):
    d = Draw(seed, "optimizer_cases " + name, number)
    options = {}
    maybe(d, 0.85, options, "lr", [0.1, 0.01, 0.03, 0.003])
    if name != "SparseAdam":
        maybe(d, 0.45, options, "weight_decay", [0.0, 0.1, 0.01])
    maybe(d, 0.2, options, "maximize", [True])
    RULES[name][0](d, options)
    is_long = d.chance(0.35)
    dtype = d.pick([np.dtype(F64), np.dtype(F32), np.dtype(F16), BF16], [0.55, 0.4, 0.025, 0.025])
    if dtype in (F16, BF16):
        return draw_16_bit(d, name, options, dtype)
    steps = d.pick([20, 40, 80, 250 if dtype == F64 else 60]) if is_long else d.pick([0, 1, 2, 3, 5, 9], [0.03, .1, .2, .2, .27, .2])
    args, t = {"optimizer": name, "options": options, "steps": steps}, {}
    if name != "SparseAdam" and d.chance(0.9):
        args["updates"] = d.pick(["exact", "dense", "touched_only"], [0.6, 0.15, 0.25])
    if name in DECAYS_WEIGHTS_THEMSELVES and not is_long and d.chance(0.07):
        options.update(lr=0.5, weight_decay=d.pick([2.0, 3.0]))  # the factor is 0 or turns the sign

    count = d.integer(1, 3)
    for k in range(count):
        if name in ("SparseAdam", "RowwiseAdagrad") or d.chance(0.75):
            shape = [d.pick([1, d.integer(2, 8), d.integer(9, 30)], [0.1, 0.6, 0.3]), d.pick([1, 2, 5, 17])]
            if d.chance(0.02):
                shape[d.integer(0, 1)] = 0
        else:
            shape = d.shape(low=0, high=1 if is_long else 3, zero=0.04)
        t[f"param.{k}"] = narrowed(d.values(shape, F64, scale=d.pick([1, 0.1])), dtype)
        draw_gradients(d, name, args, t, k, dtype)
    if steps and d.chance(0.4):
        args["lr"] = draw_lrs(d, steps)
    if steps > 1 and d.chance(0.35):
        now, at = dict(options), sorted({d.integer(1, steps - 1) for _ in range(d.integer(1, 3))})
        args["options_at"] = {}
        for step in at:
            change = draw_change(d, name, now)
            now.update(change)
            args["options_at"][str(step)] = change
    for what in ("read_at", "save_load_at"):
        if steps > 1 and d.chance(0.3):
            args[what] = sorted({d.integer(0, steps - 1) for _ in range(d.integer(1, 4))})
    if d.chance(0.2):
        rows = [t[f"param.{k}"].shape[:1] for k in range(count)]
        args["frozen_rows"] = [[d.integer(0, n[0] - 1) for _ in range(d.integer(0, 2))] if n and n[0] else None
                               for n in rows]
    calm(name, args)
    case = Case("optimizer", args, t, [])
    if d.chance(0.12):
        spoil(d, case, dtype)
    return case


def draw_16_bit(d, name, options, dtype):
    """A few steps, dense ones or of what PyTorch takes sparse; numbers that 16 bits can hold."""
    options.update({"lr": 0.1, "eps": 1e-2})
    if name in ("SGD", "SGDW", "Lion"):
        options.pop("eps")
    if name == "SparseAdam":
        options["lr"] = 0.05
    steps, width = d.integer(1, 3), d.pick([1, 4, 17])
    rows = d.integer(2, 8)
    sparse = name in ("SparseAdam", "SGD", "Adagrad") and (name == "SparseAdam" or d.chance(0.6))
    args = {"optimizer": name, "options": options, "steps": steps}
    t = {"param.0": narrowed(d.values([rows, width], F64, scale=0.3), dtype)}
    if sparse and name != "SparseAdam":
        args["updates"] = d.pick(["dense", "touched_only", "exact"])
    for step in range(steps):
        if sparse:
            t[f"grad.{step}.0.indices"] = d.r.permutation(rows)[:d.integer(1, rows)]
            t[f"grad.{step}.0.values"] = narrowed(0.5 + d.r.random([len(t[f"grad.{step}.0.indices"]), width]), dtype)
        else:
            t[f"grad.{step}.0"] = narrowed(0.5 + d.r.random([rows, width]), dtype)
    calm(name, args)
    if args.get("updates") == "exact" and (options.get("momentum") or options.get("weight_decay")):
        return Case("optimizer", args, t, [], "invalid", "rows of 16 bits that would move when idle")
    return Case("optimizer", args, t, [])


def bad_options(name):
    found = [{"lr": -0.1}, {"lr": "nan"}, {"lr": "inf"}]
    if name != "SparseAdam":
        found += [{"weight_decay": -0.1}, {"weight_decay": "inf"}]
    if name in ("SGD", "SGDW"):
        found += [{"momentum": -0.5}, {"nesterov": True, "momentum": 0.0},
                  {"nesterov": True, "momentum": 0.9, "dampening": 0.5}]
    if name in ("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "SparseAdam", "Lion"):
        found += [{"betas": [1.0, 0.9]}, {"betas": [0.9, -0.1]}, {"betas": [0.9, 1.0]}]
    if name not in ("SGD", "SGDW", "Lion"):
        found += [{"eps": -1e-8}]
    if name in ("Adagrad", "RowwiseAdagrad"):
        found += [{"lr_decay": -0.1}, {"initial_accumulator_value": -1.0}]
    if name == "RMSprop":
        found += [{"alpha": -0.1}, {"momentum": -0.1}]
    if name == "NAdam":
        found += [{"momentum_decay": -0.1}]
    if name == "SparseAdam":
        found += [{"eps": 0.0}]
    return found


def spoil(d, case, dtype):
    """Makes the case invalid in one way; `mark` says which if PyTorch has no say in it."""
    args, t, name = case.args, case.tensors, case.args["optimizer"]
    case.intent = "invalid"
    tables = [n[:-len(".indices")] for n in t if n.endswith(".indices")]
    how = d.pick(["options", "options", "options later", "tensor", "sparse", "arguments"])
    if how == "options later" and args["steps"] > 1:
        step = str(d.integer(1, args["steps"] - 1))
        args.setdefault("options_at", {})[step] = d.pick(bad_options(name))
        case.mark = "options are looked at when they change"
    elif how == "tensor" and args["steps"]:
        key = "grad.0.0"
        for part in ("", ".indices", ".values"):
            t.pop(key + part, None)
        t[key], case.mark = d.pick([
            (narrowed(d.values(list(t["param.0"].shape) + [2], F64), dtype), "the gradient's shape"),
            (np.zeros(t["param.0"].shape, F32 if dtype == F64 else F64), "the gradient's type")])
    elif how == "sparse" and tables:
        key = d.pick(tables)
        rows, width = t[f"param.{key.split('.')[2]}"].shape
        spoilt = d.pick(["row", "width", "length", "alone", "both"])
        case.mark = f"a sparse gradient: {spoilt}"
        if spoilt == "row":
            t[f"{key}.indices"] = np.array([d.pick([rows, -1, rows + 100])])
            t[f"{key}.values"] = narrowed(np.ones([1, width]), dtype)
        elif spoilt == "width":
            t[f"{key}.values"] = narrowed(np.ones([t[f"{key}.indices"].size, width + 1]), dtype)
        elif spoilt == "length":
            t[f"{key}.values"] = narrowed(np.ones([t[f"{key}.indices"].size + 1, width]), dtype)
        elif spoilt == "alone":
            del t[f"{key}.values"]
        else:
            t[key] = narrowed(np.zeros([rows, width]), dtype)
    elif how == "arguments":
        case.mark = d.pick(["updates", "lr", "steps", "frozen_rows", "options_at", "left over"])
        if case.mark == "updates":
            args["updates"] = d.pick(["lazy", "", "Exact", 3])
        elif case.mark == "lr":
            args["lr"] = [0.1] * (args["steps"] + 1)
        elif case.mark == "steps":
            args["steps"] = d.pick([-1, 2.5, None])
        elif case.mark == "frozen_rows":
            args["frozen_rows"] = d.pick([[[10 ** 6]] * sum(n.startswith("param") for n in t), [[]] * 9])
        elif case.mark == "options_at":
            args["options_at"] = {d.pick([str(args["steps"]), "-1", "first"]): {"lr": 0.1}}
        else:
            t[f"grad.{args['steps']}.0"] = t["param.0"]
    else:
        bad = d.pick(bad_options(name))
        args["options"].update(bad)
        if any(isinstance(v, str) for v in bad.values()):
            case.mark = "options are finite"


# ------------------------------------------------------------------------------------------------------- commands

def make(options):
    if torch is None:
        sys.exit("optimizer_cases: make needs PyTorch")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    tally, mistakes = collections.Counter(), []
    names = options.optimizer or list(RULES)
    for i in range(options.count):
        rule = names[i % len(names)]
        name = f"{rule}_{i // len(names):05d}"
        if options.only and name not in options.only:
            continue
        case = draw_case(rule, i // len(names), options.seed)
        outcome = write_case(options.dir, name, case)
        if outcome not in ("answered", "refused"):
            mistakes.append(f"{name}: {outcome}\n    {case.to_json()}")
        tally[f"{rule}: {outcome.split(':')[0]}"] += 1
    print(f"PyTorch {torch.__version__}, seed {options.seed}, {options.count} cases")
    for key in sorted(tally):
        print(f"{key:<50}{tally[key]:>7}")
    if mistakes:
        print(f"\n{len(mistakes)} cases that are not what they were drawn as:\n" + "\n".join(mistakes[:20]))
    return 1 if mistakes else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("make", help="draw cases and what they have to give")
    one.add_argument("dir", metavar="DIR")
    one.add_argument("--count", type=int, default=1200, metavar="N")
    one.add_argument("--seed", type=int, default=0, metavar="S")
    one.add_argument("--optimizer", action="append", choices=list(RULES), help="only this one (may be repeated)")
    one.add_argument("--only", action="append", metavar="NAME", help="only this case (may be repeated)")
    two = commands.add_parser("compare", help="compare opcheck's results with it")
    two.add_argument("dir", metavar="DIR")
    two.add_argument("results", metavar="RESULTS")
    options = parser.parse_args()
    return {"make": make, "compare": torch_cases.compare}[options.command](options)


if __name__ == "__main__":
    sys.exit(main())
