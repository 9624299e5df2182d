"""Run by `transformer_lens.py` in an environment with TransformerLens: the statistics of a survey, by its cache.

Prints JSON. It imports nothing of Loupe, which is not installed there. The statistics are those of Loupe's surveys as
someone who knows torch would write them over the cache of a batch, without windows of examples, which are left out.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import transformer_lens
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

BATCH_ROWS = 16
# One position in so many has its activations in the histogram and the moments, as in Loupe.
SAMPLE = 8
WARM_UP = 2
BINS = 64
TOP = 20
N_LAYERS, N_HEADS, D_MODEL, D_MLP, D_VOCAB = 12, 12, 768, 3072, 50257
READ = ("hook_pattern", "hook_z", "hook_post", "hook_resid_pre", "hook_resid_post", "hook_attn_out", "hook_mlp_out")


def lens_model(plain: GPT2LMHeadModel) -> Any:
    """GPT-2 small's shape with random weights, as this release of TransformerLens runs it."""
    return hooked_transformer() if "HookedTransformer" in dir(transformer_lens) else bridge(plain)


def bridge(plain: GPT2LMHeadModel) -> Any:
    """The model of transformers with hooks, its attention computed step by step."""
    tokenizer = Tokenizer(models.WordLevel({"<bos>": 0, "a": 1}, unk_token="a"))
    with tempfile.TemporaryDirectory() as folder:
        plain.config.save_pretrained(folder)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<bos>").save_pretrained(
            folder
        )
        watched = GPT2LMHeadModel(GPT2Config(attn_implementation="eager")).eval()
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        return transformer_lens.TransformerBridge.boot_transformers(folder, hf_model=watched, tokenizer=tokenizer)


def hooked_transformer() -> Any:
    """TransformerLens' own implementation."""
    config = transformer_lens.HookedTransformerConfig(
        n_layers=N_LAYERS,
        n_heads=N_HEADS,
        d_model=D_MODEL,
        d_head=D_MODEL // N_HEADS,
        d_mlp=D_MLP,
        d_vocab=D_VOCAB,
        n_ctx=1024,
        act_fn="gelu_new",
        normalization_type="LN",
        seed=0,
    )
    return transformer_lens.HookedTransformer(config).eval()


class Statistics:
    """What is known after some batches."""

    def __init__(self, frequent: np.ndarray, ends: tuple[Tensor, Tensor], gram: Tensor) -> None:
        self.places = torch.full((D_VOCAB,), -1)
        self.places[torch.from_numpy(frequent)] = torch.arange(len(frequent))
        self.low, self.high = ends
        self.gram = gram
        self.heads = torch.zeros(N_LAYERS, 11, N_HEADS)
        self.head_tokens = torch.zeros(N_LAYERS, 2, len(frequent), N_HEADS)
        self.head_rows: list[tuple[Tensor, Tensor, Tensor]] = []
        self.layers = torch.zeros(N_LAYERS, 3)
        self.powers = torch.zeros(N_LAYERS, 4, D_MLP)
        self.sums, self.active = torch.zeros(N_LAYERS, D_MLP), torch.zeros(N_LAYERS, D_MLP)
        self.histogram = torch.zeros(N_LAYERS, D_MLP * BINS, dtype=torch.int32)
        self.by_token = torch.zeros(N_LAYERS, len(frequent), D_MLP)
        self.highest = torch.full((N_LAYERS, TOP, D_MLP), -torch.inf)
        self.lowest = torch.full((N_LAYERS, TOP, D_MLP), torch.inf)

    def add(self, cache: Any, tokens: Tensor) -> None:
        n_rows, n = tokens.shape
        same = (tokens[:, :, None] == tokens[:, None, :]).tril(-1)
        same[:, :, 0] = False
        after = torch.nn.functional.pad(same, (1, 0))[..., :-1].tril(-1)
        masks = torch.stack([same, after]).float()
        places = self.places[tokens[:, 1:]].flatten()
        often = places >= 0
        positions = torch.arange(n)
        rows = torch.arange(n_rows)[:, None]
        sample = (((positions + rows) % SAMPLE == 0) & (positions > 0)).flatten().nonzero().squeeze(1)
        for layer in range(N_LAYERS):
            block = f"blocks.{layer}"
            self._add_heads(layer, cache[f"{block}.attn.hook_pattern"], masks, (places[often], often))
            z = cache[f"{block}.attn.hook_z"].flatten(0, 1)[sample]
            before = cache[f"{block}.hook_resid_pre"].flatten(0, 1)[sample].norm(dim=-1)
            length = torch.einsum("chd,hde,che->ch", z, self.gram[layer], z).clamp(min=0).sqrt()
            self.heads[layer, 10] += (length / before[:, None]).sum(0)
            residual = cache[f"{block}.hook_resid_post"][:, 1:].norm(dim=-1)
            written = [cache[f"{block}.hook_{part}_out"][:, 1:].norm(dim=-1) / residual for part in ("attn", "mlp")]
            self.layers[layer] += torch.stack([residual.sum(), *(share.sum() for share in written)])
            self._add_neurons(layer, cache[f"{block}.mlp.hook_post"], sample, (places[often], often))

    def _add_heads(self, layer: int, pattern: Tensor, masks: Tensor, frequent: tuple[Tensor, Tensor]) -> None:
        n = pattern.shape[-1]
        positions = torch.arange(n, dtype=pattern.dtype)
        sink, off_sink = pattern[:, :, 1:, 0], pattern[:, :, 1:, 1:]
        mass = off_sink.sum(-1)
        entropy_off_sink = torch.special.entr(off_sink).sum(-1)
        scale = mass.clamp(min=1e-4)
        reach = off_sink @ positions[1:]
        followed = torch.einsum("bhqk,mbqk->mh", pattern, masks)
        largest = off_sink.amax(-1)
        self.heads[layer, :10] += torch.stack(
            [
                sink.sum((0, 2)),
                pattern.diagonal(dim1=-2, dim2=-1)[..., 1:].sum((0, 2)),
                pattern.diagonal(-1, dim1=-2, dim2=-1)[..., 1:].sum((0, 2)),
                followed[0],
                followed[1],
                (entropy_off_sink + torch.special.entr(sink)).sum((0, 2)),
                (entropy_off_sink / scale + scale.log()).sum((0, 2)),
                ((mass + sink) * positions[1:] - reach).sum((0, 2)),
                (positions[1:] - reach / scale).sum((0, 2)),
                largest.amax(-1).sum(0),
            ]
        )
        score, query = largest.max(-1)
        self.head_rows.append((score, query, off_sink.take_along_dim(query[..., None, None], dim=2).squeeze(2)))
        received = off_sink.sum(2) / torch.arange(n - 1, 0, -1)
        at, often = frequent
        for kind, values in enumerate((largest, received)):
            self.head_tokens[layer, kind].index_add_(0, at, values.transpose(1, 2).flatten(0, 1)[often])

    def _add_neurons(self, layer: int, post: Tensor, sample: Tensor, frequent: tuple[Tensor, Tensor]) -> None:
        live = post[:, 1:]
        self.sums[layer] += live.sum((0, 1))
        maxima, minima = live.amax(1), live.amin(1)
        self.highest[layer] = torch.cat([self.highest[layer], maxima]).topk(TOP, dim=0).values
        self.lowest[layer] = torch.cat([self.lowest[layer], minima]).topk(TOP, dim=0, largest=False).values
        at, often = frequent
        self.by_token[layer].index_add_(0, at, live.flatten(0, 1)[often])
        sampled = post.flatten(0, 1)[sample]
        self.active[layer] += (sampled > 0).float().sum(0)
        self.powers[layer] += torch.stack([sampled.pow(power).sum(0) for power in (1, 2, 3, 4)])
        low, high = self.low[layer], self.high[layer]
        bins = ((sampled - low) * (BINS / (high - low))).clamp(0, BINS - 1).int() + torch.arange(D_MLP).int() * BINS
        self.histogram[layer] += torch.bincount(bins.flatten(), minlength=D_MLP * BINS).int()


def main(path: str) -> None:
    arrays = np.load(path)
    batches = torch.from_numpy(arrays["tokens"].astype(np.int64)).split(BATCH_ROWS)
    torch.manual_seed(0)
    plain = GPT2LMHeadModel(GPT2Config()).eval()
    assert plain.config._attn_implementation == "sdpa"
    model = lens_model(plain)

    def bare_plain(tokens: Tensor) -> None:
        plain.transformer(input_ids=tokens, use_cache=False)

    def bare(tokens: Tensor) -> None:
        model(tokens, return_type=None)

    def cached(tokens: Tensor) -> Any:
        return model.run_with_cache(tokens, return_type=None, names_filter=lambda name: name.endswith(READ))[1]

    def with_statistics(tokens: Tensor) -> None:
        found.add(cached(tokens), tokens)

    with torch.inference_mode():
        first = [cached(batches[0])[f"blocks.{layer}.mlp.hook_post"][:, 1:].flatten(0, 1) for layer in range(N_LAYERS)]
        ends = torch.stack([each.amin(0) for each in first]), torch.stack([each.amax(0) for each in first])
        w_o = torch.stack([block.attn.W_O for block in model.blocks])  # [layer, head, d_head, d_model]
        found = Statistics(arrays["frequent"], ends, w_o @ w_o.mT)
        ways: dict[str, Callable[[Tensor], None]] = {
            "bare_transformers": bare_plain,
            "bare": bare,
            "statistics": with_statistics,
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for i, tokens in enumerate(batches):
            for name in sorted(ways, reverse=bool(i % 2)):
                start = time.perf_counter()
                ways[name](tokens)
                if i >= WARM_UP:
                    seconds[name].append(time.perf_counter() - start)
    n_tokens = batches[0].numel()
    totals = {name: sum(taken) for name, taken in seconds.items()}
    pairs = zip(seconds["statistics"], seconds["bare_transformers"], strict=True)
    result = {
        "versions": {name: version(name) for name in ("transformer-lens", "torch", "transformers")},
        "threads": torch.get_num_threads(),
        "batches": len(seconds["bare"]),
        "tokens_per_second": len(seconds["statistics"]) * n_tokens / totals["statistics"],
        "bare_tokens_per_second": len(seconds["bare"]) * n_tokens / totals["bare"],
        "bare_transformers_tokens_per_second": len(seconds["bare"]) * n_tokens / totals["bare_transformers"],
        "statistics_ratio": totals["statistics"] / totals["bare_transformers"],
        "statistics_ratio_median": statistics.median(ours / theirs for ours, theirs in pairs),
        "bare_ratio": totals["bare"] / totals["bare_transformers"],
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
