#!/usr/bin/env python3
"""Writes optimizers.safetensors beside it: where PyTorch's optimizers go, in float64 (see README.md).

    python3 tests/golden/optimizers.py

All take the same steps: a table `param.0` (9, 2) with sparse gradients, rows of which come often, seldom, once or never,
and `param.1` (3), which has no gradient at every third step. `grad.STEP.K`, `grad.STEP.K.indices` and `.values` are
named as for opcheck. For each case NAME and number of steps S the metadata hold under `NAME.S` the arguments of an
`optimizer` case but for `updates`, and the file the answer, `NAME.S.param.K` and `NAME.S.state.K.…`: that of a dense
run, and of PyTorch's own sparse one for SparseAdam.
"""

import json
import pathlib
import sys

import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "opcheck"))
import optimizer_cases  # noqa: E402
import torch_cases  # noqa: E402
from make_golden import fill  # noqa: E402

STEPS, CUTS = 48, (3, 48)
ROWS = ([7, 0, 7], [0, 1], [2, 0, 0], [1], [], [3, 0], [0, 1, 2], [0], [4, 4], [0, 2], [1, 0])  # again and again


def steps():
    """name -> tensor"""
    t = {"param.0": fill(3, 9, 2), "param.1": fill(40, 3)}
    for step in range(STEPS):
        rows = ROWS[step % len(ROWS)] if step != 30 else [6, 0]
        if 7 in rows and step or 4 in rows and step > 20:  # 7 at the first step alone, 4 in the first half
            rows = [5]
        t[f"grad.{step}.0.indices"] = np.array(rows, np.int64)
        t[f"grad.{step}.0.values"] = fill(11 * step, len(rows), 2) * (1e-3 if step % 5 == 4 else 1)
        if step % 3 != 1:
            t[f"grad.{step}.1"] = fill(17 * step, 3)
    return t


def cosine(top):
    """A warm-up from 0, half a wave of a cosine, and a pause."""
    lrs = [top * min(s / 8, (1 + np.cos(np.pi * s / STEPS)) / 2) for s in range(STEPS)]
    lrs[20:24] = [0.0] * 4
    return [round(float(lr), 8) for lr in lrs]


def cases():
    """NAME -> (optimizer, options, what else stands in the arguments)"""
    some = {"SGD": 0.05, "Adam": 0.03, "AdamW": 0.03, "Adagrad": 0.1, "RMSprop": 0.02, "Adamax": 0.03, "NAdam": 0.03,
            "RAdam": 0.03, "SparseAdam": 0.03}
    found = {}
    for name, lr in some.items():
        found[name] = name, {}, {}
        found[name + "_lr"] = name, {"lr": lr}, {}
        found[name + "_maximize"] = name, {"lr": lr, "maximize": True}, {}
        found[name + "_schedule"] = name, {}, {"lr": cosine(lr)}

    def more(name, what, later=None, **options):
        args = {"options_at": {str(s): o for s, o in later.items()}} if later else {}
        found[f"{name}_{what}"] = name, {"lr": some[name], **options}, args

    more("SGD", "momentum", momentum=.9)
    more("SGD", "dampening", momentum=.9, dampening=.5)
    more("SGD", "nesterov", momentum=.9, nesterov=True)
    more("SGD", "decay", weight_decay=.1)
    more("SGD", "momentum_decay", momentum=.9, weight_decay=.1)
    more("SGD", "dampening_decay_maximize", momentum=.8, dampening=.3, weight_decay=.2, maximize=True)
    more("SGD", "nesterov_decay", momentum=.95, nesterov=True, weight_decay=.05)
    more("SGD", "momentum_on_and_off", {5: {"momentum": .9, "dampening": .5}, 20: {"momentum": 0.0},
                                        30: {"momentum": .5, "weight_decay": .1}}, weight_decay=.01)
    for name in ("Adam", "AdamW"):
        more(name, "betas", betas=[.8, .95])
        more(name, "equal_betas", betas=[.9, .9])
        more(name, "no_first_moment", betas=[0.0, .99])
        more(name, "eps", eps=1e-3)
        more(name, "amsgrad", amsgrad=True)
        more(name, "decay", weight_decay=.1, eps=1e-3)
        more(name, "amsgrad_decay_maximize", amsgrad=True, weight_decay=.05, eps=1e-3, maximize=True)
        more(name, "changes", {6: {"betas": [.95, .99]}, 17: {"weight_decay": .2, "eps": 1e-2, "lr": .01},
                               33: {"betas": [.85, .99], "eps": 1e-4, "weight_decay": 0.0}})
    more("Adagrad", "lr_decay", lr_decay=.1)
    more("Adagrad", "initial", initial_accumulator_value=.3, eps=1e-3)
    more("Adagrad", "decay", weight_decay=.1, lr_decay=.05, initial_accumulator_value=.1)
    more("Adagrad", "changes", {9: {"lr_decay": .1}, 22: {"eps": 1e-2, "weight_decay": .1}, 35: {"weight_decay": 0.0}})
    more("RMSprop", "alpha", alpha=.9)
    more("RMSprop", "momentum", momentum=.9)
    more("RMSprop", "centered", centered=True, eps=1e-3)
    more("RMSprop", "decay", weight_decay=.1, eps=1e-2)
    more("RMSprop", "momentum_centered_decay", momentum=.5, centered=True, weight_decay=.05, eps=1e-2, alpha=.95)
    more("RMSprop", "changes", {8: {"alpha": .9, "momentum": .5}, 21: {"eps": 1e-2, "weight_decay": .1},
                                37: {"weight_decay": 0.0, "momentum": 0.0}}, momentum=.8, eps=1e-4)
    for name in ("Adamax", "NAdam", "RAdam"):
        more(name, "betas", betas=[.8, .95])
        more(name, "eps", eps=1e-3)
        more(name, "decay", weight_decay=.1, eps=1e-2)
        more(name, "changes", {6: {"betas": [.95, .99]}, 19: {"eps": 1e-2, "weight_decay": .1}, 33: {"lr": .01}})
    more("NAdam", "momentum_decay", momentum_decay=.05)
    for name in ("NAdam", "RAdam"):
        more(name, "decoupled", weight_decay=.2, decoupled_weight_decay=True)
    more("SparseAdam", "betas", betas=[.8, .95], eps=1e-3)
    more("SparseAdam", "changes", {6: {"betas": [.95, .99]}, 19: {"eps": 1e-2, "lr": .01}})
    return found


def cut(args, count):
    """The arguments for the first `count` steps."""
    args = {**args, "steps": count}
    if "lr" in args:
        args["lr"] = args["lr"][:count]
    if "options_at" in args:
        args["options_at"] = {s: o for s, o in args["options_at"].items() if int(s) < count}
    return args


def main():
    torch.set_num_threads(1)
    given = steps()
    tensors, metadata = dict(given), {"torch": torch.__version__.split("+")[0]}
    for name, (optimizer, options, more) in cases().items():
        for count in CUTS:
            args = cut({"optimizer": optimizer, "options": options, **more}, count)
            seen = {n: a for n, a in given.items() if n.startswith("param") or int(n.split(".")[1]) < count}
            if optimizer == "SparseAdam":  # it takes no others
                seen = {n: a for n, a in seen.items() if not n.endswith(".1")}
            metadata[f"{name}.{count}"] = json.dumps(args)[1:-1]
            answer = optimizer_cases.train(torch_cases.Case("optimizer", args, seen, []))
            tensors.update({f"{name}.{count}.{n}": a for n, a in answer.items()})
    torch_cases.write_tensors(HERE / "optimizers.safetensors", tensors, metadata)
    print(f"{len(cases())} cases, {(HERE / 'optimizers.safetensors').stat().st_size} bytes")


if __name__ == "__main__":
    main()
