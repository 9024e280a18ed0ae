#!/usr/bin/env python3
"""Shows that a training workload of embergrad-bench computes what PyTorch computes: from the same weights, on batches
that are made here from the treebank by docs/benchmarks.md, the loss of every step and the weights at the end.

    scripts/compare_losses.py --ours build/release/bin/embergrad-bench --ewt DIR [--case bagclass_train/b32 ...]

The exit status is 1 where a loss differs by more than --tolerance of itself. Needs PyTorch and safetensors.
"""
import argparse
import collections
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence


def read_conllu(path):
    """The genre, the forms and the tags of each sentence."""
    sentences, genre, words = [], None, []
    for line in open(path, encoding="utf-8").read().split("\n"):
        if line.startswith("# sent_id = "):
            genre = line[len("# sent_id = "):].split("-")[0]
        elif not line and words:
            sentences.append((genre, [w[1] for w in words], [w[3] for w in words]))
            words = []
        elif line and line[0] != "#":
            columns = line.split("\t")
            words += [columns] if columns[0].isdigit() else []
    return sentences


def vocabulary(words, first, least=1):
    """A number for each word, from `first`: the most frequent ones first, equally frequent ones by their bytes."""
    counts = collections.Counter(words)
    known = sorted((w for w in counts if counts[w] >= least), key=lambda w: (-counts[w], w.encode()))
    return {w: first + i for i, w in enumerate(known)}


def permutation(n, seed):
    """text::permutation."""
    order, bits = list(range(n)), 2**64 - 1
    for k, i in enumerate(range(n - 1, 0, -1)):
        z = seed + (k + 1) * 0x9E3779B97F4A7C15 & bits
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & bits
        z = (z ^ z >> 27) * 0x94D049BB133111EB & bits
        j = int(((z ^ z >> 31) >> 11) * 2.0**-53 * (i + 1))
        order[i], order[j] = order[j], order[i]
    return order


class BagClassifier(nn.Module):
    """`bagclass_train`."""

    def __init__(self, sentences, size):
        super().__init__()
        small = [[w.encode().lower().decode() for w in forms] for _, forms, _ in sentences]  # lower() of bytes: ASCII
        words = vocabulary((w for forms in small for w in forms), 1)
        genres = sorted({genre for genre, _, _ in sentences})
        samples = [([words[w] for w in forms], genres.index(s[0])) for forms, s in zip(small, sentences)]
        order = permutation(len(samples), 1)
        self.batches = [[samples[i] for i in order[b * size:(b + 1) * size]] for b in range(200)]
        self.bag = nn.EmbeddingBag(len(words) + 1, 100, mode="mean", sparse=True)
        self.out = nn.Linear(100, len(genres))
        self.optimizer = torch.optim.SGD(self.parameters(), lr=0.5)

    def loss(self, batch):
        offsets = torch.tensor([0] + [len(ids) for ids, _ in batch]).cumsum(0)[:-1]
        bags = self.bag(torch.tensor([i for ids, _ in batch for i in ids]), offsets)
        return nn.functional.cross_entropy(self.out(bags), torch.tensor([genre for _, genre in batch]))


class Tagger(nn.Module):
    """`tagger_train/packed`."""

    def __init__(self, sentences):
        super().__init__()
        words = vocabulary((w for _, forms, _ in sentences for w in forms), 2, least=2)
        tags = sorted({t for _, _, of in sentences for t in of}, key=str.encode)
        coded = [([words.get(w, 1) for w in forms], [tags.index(t) for t in of]) for _, forms, of in sentences]
        order = permutation(len(coded), 1001)
        self.batches = [sorted((coded[i] for i in order[b * 32:(b + 1) * 32]), key=lambda s: -len(s[0])) for b in range(40)]
        self.emb = nn.Embedding(len(words) + 2, 100)
        self.lstm = nn.LSTM(100, 128, bidirectional=True)
        self.out = nn.Linear(256, len(tags))
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)

    def loss(self, batch):
        words, tags = (pack_sequence([torch.tensor(s[k]) for s in batch]) for k in (0, 1))
        states = self.lstm(PackedSequence(self.emb(words.data), *words[1:]))[0].data
        return nn.functional.cross_entropy(self.out(states), tags.data)


MODELS = {
    "bagclass_train/b32": lambda sentences: BagClassifier(sentences, 32),
    "bagclass_train/b1": lambda sentences: BagClassifier(sentences, 1),
    "tagger_train/packed": Tagger,
}


def losses_of(model, start):
    """The loss of every step from these weights."""
    model.load_state_dict(start)
    losses = []
    for batch in model.batches:
        model.optimizer.zero_grad()
        loss = model.loss(batch)
        loss.backward()
        model.optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses, dtype=torch.float64)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="embergrad-bench")
    parser.add_argument("--ewt", required=True, help="directory with train.conllu and dev.conllu")
    parser.add_argument("--case", action="append", choices=MODELS, help="default: all")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()
    sentences = read_conllu(os.path.join(args.ewt, "train.conllu"))
    torch.set_num_threads(1)
    agree = True
    for case in args.case or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "losses.safetensors")
            subprocess.run([args.ours, "--workload", case, "--ewt", args.ewt, "--losses", file], check=True)
            ours = load_file(file)
        part = lambda name: {k[len(name):]: v for k, v in ours.items() if k.startswith(name)}
        model = MODELS[case](sentences)
        theirs, mine = losses_of(model, part("model.")), ours["losses"].double()
        if len(mine) != len(theirs):
            sys.exit(f"{case}: {len(mine)} steps, PyTorch takes {len(theirs)}")
        worst = float(((mine - theirs) / theirs).abs().max())
        after = part("after.")
        weights = max(float((p.detach() - after[n]).abs().max()) for n, p in model.named_parameters())
        agree = agree and worst <= args.tolerance
        print(f"{case}: {len(mine)} steps, loss {theirs[0]:.6f} -> {theirs[-1]:.6f}; "
              f"largest difference {worst:.1e} of a loss, {weights:.1e} of a weight at the end")
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
