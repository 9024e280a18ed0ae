#!/usr/bin/env python3
"""Sets embergrad-bench beside another framework's benchmark, case by case, in turn on the same machine.

    scripts/compare_peers.py --ours build/release/bin/embergrad-bench --peer "python3 pytorch_bench.py" \\
        --case tagger_train/packed=tagger_train/packed_fused --case op_overhead/leaf --threads 1 --pairs 5 --ewt DIR

The peer takes the options of embergrad-bench (--workload, --threads, --repeat, --json, --ewt) and writes the same JSON.
A case is named ours=peer, or once if both call it the same.

Runs go ours, peer, ours, peer, ...: each pair gives one ratio, peer's time / ours (above 1: ours is faster). Printed is
the median of the pairs' ratios with their range, as a Markdown table, from
    median    the groups' median times;
    least     the groups' least times, which other processes disturb least;
    CPU       the processor seconds spent, which on a machine that others use says more than the clock.
"foreign" is the least and most processors' worth of other processes' work during any run: where it is well above 0, the
clock's columns are not to be trusted; --quiet-wait waits for better times.
"""
import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

MEASURES = {
    "median": lambda r: r["median"],
    "least": lambda r: r["min"],
    "CPU": lambda r: r["median"] * r["cpu_per_wall"],
}


def busy():
    """Processor seconds that the whole machine has been busy."""
    with open("/proc/stat") as file:
        ticks = [int(x) for x in file.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def wait_until_quiet(limit):
    """Waits until other processes use less than 0.15 processors for 2 s, at most `limit` seconds."""
    end = time.time() + limit
    while time.time() < end:
        before = busy()
        time.sleep(2)
        if busy() - before < 0.3:
            return


def run(command, case, args):
    """One run of one case; its result."""
    wait_until_quiet(args.quiet_wait)
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.json")
        command = command + ["--workload", case, "--threads", str(args.threads), "--repeat", str(args.repeat), "--json", out]
        if args.ewt:
            command += ["--ewt", args.ewt]
        done = subprocess.run(command, capture_output=True, text=True)
        try:
            with open(out) as file:
                results = {r["case"]: r for r in json.load(file)}
        except (OSError, ValueError):
            results = {}
        if done.returncode != 0 or case not in results:
            sys.exit(f"failed ({done.returncode}): {shlex.join(command)}\n{done.stdout}{done.stderr}")
        return results[case]


def human(seconds):
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def ratio_of(pairs, measure):
    """Median and range of the pairs' ratios."""
    ratios = [measure(peer) / measure(ours) for ours, peer in pairs]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"


def table(cases, measured, threads):
    head = ["case", "peer's case", "threads", "ours, median", "peer, median", *(f"ratio, {m}" for m in MEASURES), "foreign"]
    lines = [head, ["---"] * len(head)]
    for ours, peer in cases:
        pairs = measured[ours, peer]
        times = [human(statistics.median(run["median"] for run in side)) for side in zip(*pairs)]
        ratios = [ratio_of(pairs, measure) for measure in MEASURES.values()]
        foreign = [run.get("foreign") or 0.0 for pair in pairs for run in pair]
        lines.append([ours, peer if peer != ours else "the same", str(threads), *times, *ratios, f"{min(foreign):.2f}..{max(foreign):.2f}"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="embergrad-bench")
    parser.add_argument("--peer", required=True, help="command line of the peer's benchmark")
    parser.add_argument("--case", action="append", required=True, metavar="OURS[=PEER]", help="may be given several times")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side, at least 5 for figures to quote")
    parser.add_argument("--repeat", type=int, default=5, help="groups of steps in each run")
    parser.add_argument("--quiet-wait", type=float, default=0, metavar="S", help="before each run wait for an idle machine, at most S seconds")
    parser.add_argument("--ewt", help="directory with train.conllu and dev.conllu, for the tagger cases")
    parser.add_argument("--json", help="write every run's result to this file, too")
    args = parser.parse_args()
    if min(args.threads, args.pairs, args.repeat) < 1:
        parser.error("--threads, --pairs and --repeat are at least 1")

    cases = [(case.partition("=")[0], case.partition("=")[2] or case.partition("=")[0]) for case in args.case]
    sides = shlex.split(args.ours), shlex.split(args.peer)
    measured = {case: [] for case in cases}
    for number in range(1, args.pairs + 1):
        for case in cases:
            pair = [run(command, name, args) for command, name in zip(sides, case)]
            measured[case].append(pair)
            print(f"pair {number}/{args.pairs}  {case[0]:32} {human(pair[0]['median']):>9}  peer {human(pair[1]['median']):>9}",
                  file=sys.stderr, flush=True)
        if args.json:  # after each round: what is measured stays if the rest is stopped
            with open(args.json, "w") as file:
                json.dump([dict(ours=ours, peer=peer) for pairs in measured.values() for ours, peer in pairs], file, indent=1)
    print(table(cases, measured, args.threads))


if __name__ == "__main__":
    main()
