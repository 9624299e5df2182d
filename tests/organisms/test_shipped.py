"""What the shipped models can do, read anew from their weights on data that nothing was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from analysis.datasets.corpus import pack, read_sotu
from analysis.datasets.task import Split
from analysis.datasets.tasks.brackets import FAILURES, make_rows
from analysis.models import prepare_model
from analysis.organisms.table import ORGANISMS
from analysis.organisms.text import BOS_ID, held_out
from tests.oracles import eager_attentions

ANOTHER_SEED = 11  # than any that trained or was looked at while training


def folder_of(slug: str) -> Path:
    return ORGANISMS[slug].folder


@pytest.mark.parametrize("slug", ORGANISMS)
def test_the_files_are_whole_and_small(slug: str) -> None:
    names = {path.name for path in folder_of(slug).iterdir()}
    assert names == {
        *("README.md", "card.json", "config.json", "loss.svg", "model.safetensors", "tokenizer.json"),
        "tokenizer_config.json",
    }
    weights = folder_of(slug) / "model.safetensors"
    assert weights.stat().st_size <= 15_000_000
    with safe_open(weights, framework="pt") as opened:
        assert all(opened.get_tensor(name).isfinite().all() for name in opened.keys())  # noqa: SIM118 (no mapping)


@pytest.mark.parametrize("slug", ORGANISMS)
def test_transformers_loads_body_and_tokenizer_from_the_folder(slug: str) -> None:
    loaded = AutoModel.from_pretrained(folder_of(slug), output_loading_info=True)
    model, info = loaded
    assert not info["missing_keys"]
    assert not info["mismatched_keys"]
    assert set(info["unexpected_keys"]) <= {"lm_head.weight", "score.weight", "score.bias"}
    tokenizer = AutoTokenizer.from_pretrained(folder_of(slug))
    assert tokenizer.bos_token_id == 0
    assert len(tokenizer) == model.config.vocab_size


@pytest.mark.parametrize("slug", ORGANISMS)
def test_the_card_says_what_the_readme_says(slug: str) -> None:
    card = json.loads((folder_of(slug) / "card.json").read_text())
    readme = (folder_of(slug) / "README.md").read_text()
    for name, figure in card["abilities"].items():
        assert f"| {name} | {figure:.4f} |" in readme
    assert card["data"] in readme
    assert ORGANISMS[slug].data == card["data"]


def test_brackets_are_judged_right_and_so_is_every_kind_of_failure() -> None:
    model = AutoModelForSequenceClassification.from_pretrained(folder_of("paren-balance")).eval()
    rows = make_rows(Split.CONFIRM, n=12_000, seed=ANOTHER_SEED)
    strings = ["".join({3: "(", 4: ")"}.get(token, "") for token in row) for row in rows.tokens.tolist()]
    with torch.no_grad():
        parts = zip(torch.from_numpy(rows.tokens).split(500), torch.from_numpy(rows.mask).split(500), strict=True)
        judged = torch.cat([model(*part).logits.argmax(-1) for part in parts]).numpy() == 1
    truth = np.asarray([is_balanced(string) for string in strings])
    assert 0.25 < truth.mean() < 0.28
    assert (judged == truth).mean() >= 0.999
    for kind, name in enumerate(FAILURES):
        of_kind = rows.classes["failure"] == kind
        assert of_kind.sum() > 1500, name
        assert (judged == truth)[of_kind].mean() >= 0.995, name


def is_balanced(string: str) -> bool:
    depth = 0
    for bracket in string:
        depth += 1 if bracket == "(" else -1
        if depth < 0:
            return False
    return depth == 0


def test_brackets_of_one_length_alone_need_no_mask() -> None:
    model = AutoModelForSequenceClassification.from_pretrained(folder_of("paren-balance")).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder_of("paren-balance"))
    judged = {}
    for string in ("()", ")(", "(())()", "(()", "((()))", "())(()", "(()(()))()" * 4, "(" * 20 + ")" * 20):
        ids = [0, *tokenizer(string, add_special_tokens=False)["input_ids"], 2]
        with torch.no_grad():
            judged[string] = bool(model(torch.tensor([ids])).logits.argmax())
    judged.pop("(()")  # of an odd length, as none that it was trained on
    assert judged == {string: is_balanced(string) for string in judged}


def test_the_tokenizer_of_brackets_has_no_token_for_anything_else() -> None:
    tokenizer = Tokenizer.from_file(str(folder_of("paren-balance") / "tokenizer.json"))
    assert tokenizer.encode("(())").ids == [3, 3, 4, 4]
    assert tokenizer.decode([3, 4, 4]) == "())"
    with pytest.raises(Exception, match="Missing"):
        tokenizer.encode("(a)")


def test_a_previous_token_head_and_an_induction_head_have_formed() -> None:
    model = AutoModelForCausalLM.from_pretrained(folder_of("attn-only-2l")).eval()
    tokenizer = Tokenizer.from_file(str(folder_of("attn-only-2l") / "tokenizer.json"))
    text = pack(held_out(read_sotu()), tokenizer, bos=BOS_ID)
    previous = np.zeros(8)
    for row in range(300, 340):
        patterns = eager_attentions(model, text[row].tolist())[0]
        previous += [np.mean([pattern[q, q - 1] for q in range(2, len(pattern))]) for pattern in patterns]
    assert max(previous / 40) >= 0.5
    generator = np.random.default_rng(ANOTHER_SEED)
    induction = np.zeros(8)
    for _ in range(20):
        half = generator.choice(np.arange(300, 4096), size=50, replace=False)
        patterns = eager_attentions(model, [0, *half, *half])[1]
        induction += [np.mean([pattern[q, q - 49] for q in range(51, 101)]) for pattern in patterns]
    assert max(induction / 20) >= 0.85


@pytest.mark.parametrize("slug", ORGANISMS)
def test_a_shipped_model_comes_into_the_store_without_network(slug: str, tmp_path: Path) -> None:
    artifact = prepare_model(tmp_path / "store", slug)
    assert artifact.meta["slug"] == slug
    assert artifact.meta["licence"] == "Apache-2.0"
    assert artifact.meta["source"].startswith(f"trained for Loupe (python -m analysis train {slug}) on ")
    assert "bos_reason" not in artifact.meta
    assert artifact.meta.get("end") == (2 if slug == "paren-balance" else None)
    assert prepare_model(tmp_path / "store", slug).meta == artifact.meta
