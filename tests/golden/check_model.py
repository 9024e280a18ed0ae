#!/usr/bin/env python3
"""Loads a tagger that embergrad saved into the PyTorch module of the same shape, strictly and without a converter.

    python3 tests/golden/check_model.py MODEL.safetensors
    python3 tests/golden/check_model.py MODEL.safetensors --logits FILE.safetensors

The sizes are read off the tensors: `word_embeddings.weight`, `lstm.weight_ih_l0` and the rest of the LSTM's names
(layers, `_reverse`, `weight_hr_…`, with or without biases), `hidden2tag.weight`, `hidden2tag.bias`. FILE holds
`input` (B, T), `lengths` (B) and `logits` (sum of lengths, tags) in packed order, as PackedSequence.data has them:
time step by time step, the longest sentence first, equal lengths in their order in the batch.
Exit status 1: the model does not load, or the logits differ.
"""

import argparse
import re
import sys

import torch
from safetensors import safe_open
from torch.nn.utils.rnn import pack_padded_sequence

from tagger import Tagger


def read(path, prefix=""):
    with safe_open(path, framework="pt") as file:
        return {n[len(prefix):]: file.get_tensor(n) for n in file.keys() if n.startswith(prefix)}, file.metadata()


def matching(weights):
    """The module that these tensors belong to; KeyError: a tensor that it cannot do without is missing."""
    words, dim = weights["word_embeddings.weight"].shape
    hidden = weights["lstm.weight_ih_l0"].shape[0] // 4
    proj = weights["lstm.weight_hr_l0"].shape[0] if "lstm.weight_hr_l0" in weights else 0
    layers = 1 + max(int(m[1]) for m in (re.match(r"lstm\.weight_ih_l(\d+)", n) for n in weights) if m)
    model = Tagger(words, dim, hidden, weights["hidden2tag.weight"].shape[0], layers,
                   bidirectional="lstm.weight_ih_l0_reverse" in weights, proj_size=proj,
                   bias="lstm.bias_ih_l0" in weights, padding_idx=None)
    return model.to(weights["word_embeddings.weight"].dtype)


def check_logits(model, path, tolerance):
    file, _ = read(path)
    words, lengths, theirs = file["input"], file["lengths"].long(), file["logits"]
    order = torch.argsort(lengths, descending=True, stable=True)
    with torch.no_grad():
        ours = model(pack_padded_sequence(words[order], lengths[order], batch_first=True))
    if ours.shape != theirs.shape:
        print(f"logits: PyTorch has {tuple(ours.shape)}, the file {tuple(theirs.shape)}")
        return False
    if ours.dtype != theirs.dtype:
        print(f"logits: PyTorch has {ours.dtype}, the file {theirs.dtype}")
        return False
    largest = float(ours.abs().max())
    difference = float((ours - theirs).abs().max())
    good = difference <= tolerance * largest  # NaN is not
    print(f"logits {tuple(ours.shape)}: largest difference {difference:.3g}, largest logit {largest:.3g}, "
          f"relative {difference / largest:.3g}: {'ok' if good else 'DIFFERENT'} (tolerance {tolerance:g})")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL.safetensors")
    parser.add_argument("--logits", metavar="FILE", help="compare the logits in FILE with PyTorch's")
    parser.add_argument("--tolerance", type=float, help="relative to the largest logit (default 1e-4; float64 1e-9)")
    parser.add_argument("--prefix", default="", help="take only the tensors with this prefix, and cut it off "
                                                     "(`model.` for the fixtures)")
    options = parser.parse_args()
    weights, metadata = read(options.model, options.prefix)
    for name, tensor in weights.items():
        print(f"{name:<32} {str(tensor.dtype)[6:]:<9} {tuple(tensor.shape)}")
    if metadata:
        print("metadata: " + ", ".join(f"{k} ({len(v)} bytes)" for k, v in sorted(metadata.items())))
    try:
        model = matching(weights)
        model.load_state_dict(weights, strict=True)
    except KeyError as error:
        sys.exit(f"check_model: there is no tensor {error}")
    except RuntimeError as error:
        sys.exit(f"check_model: {error}")
    print("strict load ok")
    if options.logits:
        single = weights["word_embeddings.weight"].dtype != torch.float64
        tolerance = options.tolerance or (1e-4 if single else 1e-9)
        sys.exit(0 if check_logits(model.eval(), options.logits, tolerance) else 1)


if __name__ == "__main__":
    main()
