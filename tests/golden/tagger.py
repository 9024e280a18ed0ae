#!/usr/bin/env python3
"""Writes tagger_f32.safetensors and tagger_f64.safetensors beside it: a small PyTorch tagger, one batch, what comes
out of it, every gradient, and ten Adam steps (see README.md).

    python3 tests/golden/tagger.py

The weights are drawn once, in float64, and rounded for the float32 file. Batch first: input and target are (B, T),
padded with word 0 and tag -100; the sentences are packed, so the padding takes no part.
"""

import argparse
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

HERE = pathlib.Path(__file__).resolve().parent
WORDS, DIM, HIDDEN, TAGS, LENGTHS, STEPS, LR = 50, 12, 16, 7, [9, 7, 7, 3, 1], 10, 1e-2


class Tagger(nn.Module):
    """Embedding -> LSTM -> Linear, under the names of embergrad's model files. Takes packed word numbers."""

    def __init__(self, words, dim, hidden, tags, layers=1, bidirectional=True, proj_size=0, bias=True,
                 padding_idx=0):
        super().__init__()
        self.word_embeddings = nn.Embedding(words, dim, padding_idx=padding_idx)
        self.lstm = nn.LSTM(dim, hidden, layers, bias=bias, bidirectional=bidirectional, proj_size=proj_size,
                            batch_first=True)
        self.hidden2tag = nn.Linear((proj_size or hidden) * (1 + bidirectional), tags)

    def forward(self, packed):
        vectors = PackedSequence(self.word_embeddings(packed.data), *packed[1:])
        return self.hidden2tag(self.lstm(vectors)[0].data)


def build(dtype):
    r = np.random.default_rng(20260)
    model = Tagger(WORDS, DIM, HIDDEN, TAGS).to(torch.float64)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name == "word_embeddings.weight":
                p.copy_(torch.from_numpy(r.standard_normal(tuple(p.shape))))
                p[0] = 0
            else:
                bound = 1 / (HIDDEN if name.startswith("lstm") else 2 * HIDDEN) ** 0.5
                p.copy_(torch.from_numpy(r.uniform(-bound, bound, tuple(p.shape))))
    return model.to(dtype)


def batch():
    r = np.random.default_rng(20261)
    words, tags = np.zeros((5, 9), np.int64), np.full((5, 9), -100, np.int64)
    for b, length in enumerate(LENGTHS):
        words[b, :length] = r.integers(1, WORDS, length)
        tags[b, :length] = r.integers(0, TAGS, length)
    words[2, :3] = words[0, :3]  # words that occur more than once
    return torch.from_numpy(words), torch.from_numpy(tags), torch.tensor(LENGTHS)


def run(dtype):
    model, (words, tags, lengths) = build(dtype), batch()
    x, y = (pack_padded_sequence(t, lengths, batch_first=True) for t in (words, tags))
    result = {f"model.{n}": p.detach().clone() for n, p in model.state_dict().items()}
    result.update(input=words, lengths=lengths, target=tags)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=LR), []
    for step in range(STEPS):
        logits = model(x)
        loss = F.cross_entropy(logits, y.data)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            result.update(logits=logits.detach().clone(), loss=loss.detach().clone())
            result.update({f"grad.{n}": p.grad.clone() for n, p in model.named_parameters()})
        optimizer.step()
        losses.append(loss.detach())
    result["losses"] = torch.stack(losses)
    result.update({f"after.{n}": p.detach().clone() for n, p in model.named_parameters()})
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=HERE, metavar="DIR")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    results = {name: run(dtype) for name, dtype in (("f32", torch.float32), ("f64", torch.float64))}
    for name, tensors in results.items():
        path = out / f"tagger_{name}.safetensors"
        save_file(tensors, path)
        path.chmod(0o644)  # safetensors leaves the file to its owner alone
        print(f"{path.name}: {path.stat().st_size} bytes, loss {tensors['losses'][0]:.6f} -> "
              f"{tensors['losses'][-1]:.6f}")
    print("largest difference between the two, relative to the tensor's largest number:")
    for group in ("logits", "loss", "losses", "grad.", "after."):
        worst = max(float((results["f32"][n].double() - t).abs().max() / t.abs().max())
                    for n, t in results["f64"].items() if n == group or (group[-1] == "." and n.startswith(group)))
        print(f"  {group:<8} {worst:.1e}")


if __name__ == "__main__":
    main()
