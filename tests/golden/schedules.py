#!/usr/bin/env python3
"""Writes schedules.safetensors beside it: learning rates and momenta of PyTorch's schedulers (see README.md).

    python3 tests/golden/schedules.py

For each case NAME: `NAME.lr` (calls + 1, groups), the groups' learning rates after construction and after each call of
step, and `NAME.momentum`, their momentum or first beta. All float64. What a case does is written again in
tests/optim/schedule_test.cpp.
"""

import math
import pathlib
import warnings

import torch
from safetensors.torch import save_file
from torch.optim.lr_scheduler import (CosineAnnealingLR, ExponentialLR, LambdaLR, LinearLR, MultiStepLR, OneCycleLR,
                                      ReduceLROnPlateau, SequentialLR, StepLR)

warnings.simplefilter("ignore")
HERE = pathlib.Path(__file__).resolve().parent
LRS = [0.1, 0.01, 0.5]
METRICS = [1.0, 0.8, 0.80001, 0.9, 0.79, 0.85, 0.85, 0.85, 0.85, 0.2, 0.3, 0.3, 0.19999, math.nan, 0.4, 0.4, 0.4, 0.1,
           0.1, 0.1, 0.1, 0.1, 0.1, 0.1]


def optimizer(kind="sgd"):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in LRS]
    return torch.optim.Adam(groups) if kind == "adam" else torch.optim.SGD(groups, lr=1.0, momentum=0.9)


def record(make, calls, kind="sgd", metrics=None, change_at=None):
    """make(optimizer) gives the schedulers whose step is called, in order."""
    o = optimizer(kind)
    schedulers = make(o)
    lrs, momenta = [], []

    def note():
        lrs.append([g["lr"] for g in o.param_groups])
        momenta.append([g["betas"][0] if "betas" in g else g["momentum"] for g in o.param_groups])

    note()
    for call in range(calls):
        o.step()
        if call == change_at:
            o.param_groups[1]["lr"] = 0.3
        for s in schedulers:
            s.step(metrics[call]) if isinstance(s, ReduceLROnPlateau) else s.step()
        note()
    return {"lr": torch.tensor(lrs, dtype=torch.float64), "momentum": torch.tensor(momenta, dtype=torch.float64)}


def sequential(o, schedulers, milestones):
    return [SequentialLR(o, schedulers, milestones)]


def plateau(**options):
    return record(lambda o: [ReduceLROnPlateau(o, **options)], len(METRICS), metrics=METRICS)


CASES = {
    "step": record(lambda o: [StepLR(o, 3, gamma=0.5)], 13),
    "step_defaults": record(lambda o: [StepLR(o, 4)], 13),
    "step_changed": record(lambda o: [StepLR(o, 3, gamma=0.7)], 13, change_at=4),
    "multi_step": record(lambda o: [MultiStepLR(o, [5, 2, 9, 5], gamma=0.3)], 12),
    "multi_step_from_0": record(lambda o: [MultiStepLR(o, [0, 3])], 6),
    "exponential": record(lambda o: [ExponentialLR(o, 0.93)], 20),
    "linear": record(lambda o: [LinearLR(o)], 8),
    "linear_to_0": record(lambda o: [LinearLR(o, 1.0, 0.0, 7)], 10),
    "linear_up": record(lambda o: [LinearLR(o, start_factor=0.25, end_factor=0.5, total_iters=4)], 7, change_at=1),
    "cosine": record(lambda o: [CosineAnnealingLR(o, 7, eta_min=1e-3)], 40),
    "cosine_short": record(lambda o: [CosineAnnealingLR(o, 1)], 7),
    "cosine_changed": record(lambda o: [CosineAnnealingLR(o, 5)], 25, change_at=3),
    "one_cycle": record(lambda o: [OneCycleLR(o, 0.2, total_steps=20)], 20),
    "one_cycle_adam": record(lambda o: [OneCycleLR(o, [0.3, 0.03, 0.003], epochs=3, steps_per_epoch=5, pct_start=0.4,
                                                   base_momentum=[0.8, 0.7, 0.6], max_momentum=[0.99, 0.9, 0.95],
                                                   div_factor=10, final_div_factor=50)], 15, "adam"),
    "one_cycle_linear": record(lambda o: [OneCycleLR(o, 0.2, total_steps=17, anneal_strategy="linear")], 16),
    "one_cycle_three": record(lambda o: [OneCycleLR(o, 0.2, total_steps=23, pct_start=0.25, three_phase=True)], 23),
    "one_cycle_three_linear": record(lambda o: [OneCycleLR(o, 0.2, total_steps=23, anneal_strategy="linear",
                                                           three_phase=True, cycle_momentum=False)], 22, "adam"),
    "one_cycle_from_top": record(lambda o: [OneCycleLR(o, 0.2, total_steps=6, pct_start=0.0)], 6),
    "lambda": record(lambda o: [LambdaLR(o, lambda e: 0.95**e)], 10),
    "lambda_list": record(lambda o: [LambdaLR(o, [lambda e: 1 / (1 + e), lambda e: e * 0.5, lambda e: 1.0])], 10),
    "plateau": plateau(patience=2),
    "plateau_max": plateau(mode="max", factor=0.5, patience=1, threshold=0.01),
    "plateau_abs": plateau(patience=1, threshold=0.02, threshold_mode="abs", cooldown=2, factor=0.3),
    "plateau_max_abs": plateau(mode="max", patience=0, threshold_mode="abs", min_lr=[1e-3, 2e-3, 3e-3]),
    "plateau_floor": plateau(patience=0, factor=0.9, min_lr=0.005, eps=0.01),
    "chain_exponential_step": record(lambda o: [ExponentialLR(o, 0.9), StepLR(o, 2, gamma=0.5)], 11),
    "chain_linear_multi": record(lambda o: [LinearLR(o, total_iters=4), MultiStepLR(o, [3, 6], gamma=0.2)], 11),
    "chain_cosine_exponential": record(lambda o: [CosineAnnealingLR(o, 6), ExponentialLR(o, 0.9)], 20),
    "chain_plateau": record(lambda o: [ExponentialLR(o, 0.99), ReduceLROnPlateau(o, patience=1)], len(METRICS),
                            metrics=METRICS),
    "sequence_warmup": record(lambda o: sequential(o, [LinearLR(o, 0.1, total_iters=4), CosineAnnealingLR(o, 9, 1e-4)],
                                                   [4]), 20),
    "sequence_many": record(lambda o: sequential(o, [ExponentialLR(o, 0.8), StepLR(o, 2, 0.5), LinearLR(o, 0.5),
                                                     MultiStepLR(o, [0, 2], 0.5), LambdaLR(o, lambda e: 0.7**e)],
                                                 [3, 8, 10, 14]), 20),
    "sequence_one_cycle": record(lambda o: sequential(o, [LinearLR(o, 0.1, total_iters=3),
                                                          OneCycleLR(o, 0.4, total_steps=9)], [3]), 12),
    "sequence_cosine_first": record(lambda o: sequential(o, [CosineAnnealingLR(o, 3), ExponentialLR(o, 0.5)], [5]), 9),
    "sequence_from_0": record(lambda o: sequential(o, [LinearLR(o), ExponentialLR(o, 0.5)], [0]), 5),
    "sequence_skips": record(lambda o: sequential(o, [StepLR(o, 2), LinearLR(o), ExponentialLR(o, 0.5)], [3, 3]), 8),
    "sequence_and_exponential": record(lambda o: sequential(o, [LinearLR(o), CosineAnnealingLR(o, 4)], [5])
                                       + [ExponentialLR(o, 0.9)], 12),
}

if __name__ == "__main__":
    tensors = {f"{case}.{name}": t.contiguous() for case, results in CASES.items() for name, t in results.items()}
    save_file(tensors, HERE / "schedules.safetensors", metadata={"torch": torch.__version__})
    print(f"{len(CASES)} cases")
