"""Adding models of the hub and of folders: the same weights come out, and what is wrong is said in one sentence."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, MixtralConfig, PreTrainedModel

from analysis.anatomy import AnatomyError
from analysis.models import add_from_source, load_model, model_path
from analysis.sources import ModelError
from analysis.store import Artifact, scratch_folder
from tests import tiny
from tests.hub import Hub, running_hub

COMMIT, OTHER_COMMIT = "a" * 40, "b" * 40
NAME = "acme/Tiny_GPT2"


def save(folder: Path, slug: str = "tiny-gpt2", *, shard: str = "1GB") -> Path:
    """A model in a folder as transformers writes it."""
    tiny.build(slug).save_pretrained(folder, max_shard_size=shard)
    tiny.tiny_tokenizer().save_pretrained(folder)
    return folder


def edit_json(file: Path, **changes: object) -> None:
    data = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in data.items() if value is not ...}))


def add(store: Path, source: Path | str, *, revision: str | None = None, slug: str | None = None) -> Artifact:
    return add_from_source(store, str(source), revision=revision, slug=slug)


def load(store: Path, artifact: Artifact) -> PreTrainedModel:
    return load_model(store, artifact.meta["slug"], expected_hash=artifact.meta["hash"], device="cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path / "my_Model")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.mark.parametrize("slug", [*tiny.FAMILIES, *tiny.CAPPED])
def test_a_model_of_every_family_comes_out_of_the_store_as_it_was_in_its_folder(tmp_path: Path, slug: str) -> None:
    artifact = add(tmp_path / "store", save(tmp_path / slug, slug))
    assert artifact.meta["n_parameters"] == (tiny.FAMILIES | tiny.CAPPED)[slug][1]
    tokens = torch.randint(0, tiny.VOCABULARY, (2, 30), generator=torch.Generator().manual_seed(3))
    model = load(tmp_path / "store", artifact)
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, tiny.build(slug)(tokens).logits)
    assert model.config._attn_implementation == ("eager" if slug in tiny.CAPPED else "sdpa")


def test_a_folder_says_what_it_is(tmp_path: Path, folder: Path) -> None:
    artifact = add(tmp_path / "store", folder)
    assert artifact.path == model_path(tmp_path / "store", "my-model")
    assert artifact.meta["title"] == "my_Model"
    assert artifact.meta["licence"] == "unknown"
    assert re.fullmatch(
        r"folder my_Model of an operator, sha256 of model\.safetensors [0-9a-f]{64}", artifact.meta["source"]
    )
    assert str(tmp_path) not in json.dumps(artifact.meta) + (artifact.path / "config.json").read_text()
    assert artifact.meta["bos"] == 0
    assert "bos_reason" not in artifact.meta


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\nText", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: gemma-terms\n---\n", "gemma-terms"),
        ("no head", "unknown"),
        (f"---\nlicense: {'words ' * 20}\n---\n", "unknown"),
        ("---\nlicense: [\n---\n", "unknown"),
    ],
)
def test_the_licence_is_that_of_the_model_card(tmp_path: Path, folder: Path, card: str, licence: str) -> None:
    (folder / "README.md").write_text(card)
    assert add(tmp_path / "store", folder, slug="carded").meta["licence"] == licence


def test_weights_in_several_files_and_of_half_precision_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "halves"
    tiny.build("tiny-llama").to(torch.bfloat16).save_pretrained(folder, max_shard_size="60KB")
    tiny.tiny_tokenizer().save_pretrained(folder)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    model = load(tmp_path / "store", add(tmp_path / "store", folder))
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}
    expected = tiny.build("tiny-llama").lm_head.weight.to(torch.bfloat16).float()
    assert torch.equal(model.lm_head.weight, expected)


def test_names_of_old_gpt2_checkpoints_are_understood(tmp_path: Path, folder: Path) -> None:
    weights = {
        name.removeprefix("transformer."): tensor for name, tensor in load_file(folder / "model.safetensors").items()
    }
    weights |= {f"h.{layer}.attn.bias": torch.ones(1, 1, 4, 4) for layer in range(3)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = load(tmp_path / "store", add(tmp_path / "store", folder))
    expected = tiny.build("tiny-gpt2").transformer.h[2].mlp.c_fc.weight
    assert torch.equal(model.transformer.h[2].mlp.c_fc.weight, expected)


def test_names_of_old_neox_checkpoints_are_understood(tmp_path: Path) -> None:
    folder = save(tmp_path / "neox", "tiny-neox")
    weights = load_file(folder / "model.safetensors")
    for layer in range(2):
        at = f"gpt_neox.layers.{layer}.attention."
        weights[at + "bias"], weights[at + "masked_bias"] = torch.ones(1, 1, 4, 4), torch.tensor(-1e9)
        weights[at + "rotary_emb.inv_freq"] = torch.ones(1)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert add(tmp_path / "store", folder).meta["n_parameters"] == 42_752


@pytest.mark.parametrize(
    ("slug", "key"),
    [("tiny-mistral", "sliding_window"), ("tiny-gemma2", "attn_logit_softcapping")],
)
def test_what_a_config_turns_off_stays_off(tmp_path: Path, slug: str, key: str) -> None:
    folder = save(tmp_path / "without", slug)
    edit_json(folder / "config.json", **{key: None})
    assert getattr(type(tiny.build(slug).config)(), key)
    assert getattr(load(tmp_path / "store", add(tmp_path / "store", folder)).config, key) is None


def test_code_that_comes_with_a_model_is_never_run(tmp_path: Path, folder: Path) -> None:
    edit_json(folder / "config.json", auto_map={"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"})
    edit_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", "evil.T"]})
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: ...\nclass M: ...\nclass T: ...\n")
    add(tmp_path / "store", folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("in_tokenizer", "in_config", "token", "reason"),
    [
        ({"bos_token": "!"}, {"bos_token_id": 0}, "!", None),
        ({"bos_token": {"content": "!", "__type": "AddedToken"}}, {}, "!", None),
        ({"bos_token": ...}, {"bos_token_id": 0}, "<bos>", "its tokenizer names no BOS token, and its config <bos>"),
        (
            {"bos_token": None, "eos_token": "!"},
            {"bos_token_id": None},
            "<|endoftext|>",
            "it has no BOS token, and <|endoftext|> stands between documents",
        ),
        (
            {"bos_token": "not in the vocabulary", "eos_token": "!"},
            {"bos_token_id": 100_000},
            "<|endoftext|>",
            "it has no BOS token, and <|endoftext|> stands between documents",
        ),
    ],
)
def test_the_token_that_begins_rows_is_chosen_and_its_reason_kept(
    tmp_path: Path, folder: Path, in_tokenizer: dict, in_config: dict, token: str, reason: str | None
) -> None:
    data = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = data["model"]["vocab"]
    vocabulary["<|endoftext|>"] = vocabulary.pop(max(vocabulary, key=vocabulary.__getitem__))
    data["model"]["merges"].pop()
    (folder / "tokenizer.json").write_text(json.dumps(data))
    edit_json(folder / "tokenizer_config.json", **in_tokenizer)
    edit_json(folder / "config.json", **in_config)
    meta = add(tmp_path / "store", folder).meta
    assert meta["bos"] == vocabulary[token]
    assert meta.get("bos_reason") == reason


def test_a_token_that_ends_texts_begins_rows_where_there_is_no_other(tmp_path: Path, folder: Path) -> None:
    edit_json(folder / "tokenizer_config.json", bos_token=None, eos_token="<bos>")
    edit_json(folder / "config.json", bos_token_id=None)
    assert add(tmp_path / "store", folder).meta["bos_reason"] == "it has no BOS token, and <bos> ends a text"


def test_a_model_with_no_token_to_begin_rows_with_is_refused(tmp_path: Path, folder: Path) -> None:
    edit_json(folder / "tokenizer_config.json", bos_token=None, eos_token=None)
    edit_json(folder / "config.json", bos_token_id=None)
    with pytest.raises(ModelError, match=r"^Adding my-model: expected a tokenizer with a BOS token, got one"):
        add(tmp_path / "store", folder)


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def slow_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "vocab.json")


def cut(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:50])


def change_weights(name: str, tensor: torch.Tensor | None) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        weights.pop(name, None)
        save_file(weights | ({} if tensor is None else {name: tensor}), folder / "model.safetensors", {"format": "pt"})

    return change


def wide_tokenizer(folder: Path) -> None:
    small = GPT2LMHeadModel(GPT2Config(vocab_size=399, n_embd=24, n_layer=1, n_head=4, n_positions=160))
    small.save_pretrained(folder)


def short_context(folder: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=400, n_embd=24, n_layer=1, n_head=4, n_positions=64)).save_pretrained(folder)


C_FC = "transformer.h.1.mlp.c_fc.weight"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (without("config.json"), "expected a config.json of a transformers model, got none."),
        (without("model.safetensors"), "expected weights as model.safetensors, got none."),
        (without("tokenizer.json"), "expected a fast tokenizer (tokenizer.json), got none."),
        (slow_tokenizer, "expected a fast tokenizer (tokenizer.json), got none."),
        (
            pickled,
            "expected weights as model.safetensors, got pickled ones, which could run code when they are read.",
        ),
        (cut("config.json"), "its config.json cannot be read ("),
        (cut("tokenizer.json"), "its tokenizer cannot be read ("),
        (cut("model.safetensors"), "its weights cannot be read ("),
        (change_weights(C_FC, None), f"expected the weights that its config describes, got no {C_FC}."),
        (
            change_weights(C_FC, torch.ones(24, 95)),
            f"expected the weights that its config describes, got another shape of {C_FC}.",
        ),
        (
            change_weights("transformer.h.0.adapter.weight", torch.ones(1)),
            "expected the weights that its config describes, got besides transformer.h.0.adapter.weight.",
        ),
        (
            lambda folder: edit_json(folder / "config.json", quantization_config={"quant_method": "gptq"}),
            "expected plain weights, got quantised ones.",
        ),
        (lambda folder: edit_json(folder / "config.json", model_type="new"), "its config.json cannot be read ("),
        (wide_tokenizer, "expected a tokenizer of 399 tokens or fewer, got 400."),
        (short_context, "expected room for rows of 128 tokens, got 64."),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_and_leaves_nothing(
    tmp_path: Path, folder: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    damage(folder)
    with pytest.raises(ModelError, match=f"^Adding {re.escape(f'{folder}: {sentence}')}") as caught:
        add(tmp_path / "store", folder)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "store").rglob("*.safetensors"))


def test_a_family_that_is_not_measured_is_refused_before_its_weights_are_read(tmp_path: Path, folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(MixtralConfig().to_dict()))
    with pytest.raises(AnatomyError, match="got mixtral"):
        add(tmp_path / "store", folder)


@pytest.mark.parametrize(
    ("source", "revision", "slug", "sentence"),
    [
        ("./nowhere", None, None, "Adding ./nowhere: expected a folder, found none there."),
        ("a b", None, None, "expected a name like EleutherAI/pythia-70m or a folder like ./my-model."),
        ("a/b/c", None, None, "expected a name like EleutherAI/pythia-70m or a folder like ./my-model."),
        ("", None, None, "expected a name like"),
        ("./x", "main", None, "expected no revision, for a folder has none, got main."),
        ("gpt2", "a b", None, "expected a commit, branch or tag, got “a b”."),
        ("gpt2", None, "..", "expected a slug of small letters"),
        ("gpt2", None, "GPT 2", "expected a slug of small letters"),
        ("gpt2", None, "x.json", "expected a slug of small letters"),
        ("gpt2", None, "smollm2-135m-instruct-q4", "is the slug of a bundled model; give this one another."),
    ],
)
def test_what_a_person_mistypes_is_said(
    tmp_path: Path, source: str, revision: str | None, slug: str | None, sentence: str
) -> None:
    with pytest.raises(ModelError, match=re.escape(sentence)):
        add(tmp_path, source, revision=revision, slug=slug)
    assert list(tmp_path.iterdir()) == []


def test_a_slug_that_other_weights_have_is_not_given_away(tmp_path: Path, folder: Path) -> None:
    first = add(tmp_path / "store", folder, slug="taken")
    with pytest.raises(ModelError, match="a slug never moves, give the new weights another"):
        add(tmp_path / "store", save(tmp_path / "other", "tiny-llama"), slug="taken")
    assert add(tmp_path / "store", folder, slug="taken").meta == first.meta


def test_a_model_of_the_hub_is_fetched_at_the_commit_that_its_branch_is_now(tmp_path: Path, hub: Hub) -> None:
    hub.publish(NAME, save(tmp_path / "files"), commit=COMMIT)
    hub.card = {"license": "mit"}
    artifact = add(tmp_path / "store", NAME)
    assert artifact.meta["slug"] == "tiny-gpt2"
    assert artifact.meta["title"] == NAME
    assert artifact.meta["licence"] == "mit"
    assert artifact.meta["source"] == f"hub: {NAME}, commit {COMMIT}"
    expected = tiny.build("tiny-gpt2").transformer.wte.weight
    assert torch.equal(load(tmp_path / "store", artifact).transformer.wte.weight, expected)
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["models"]


def test_a_revision_pins_the_weights(tmp_path: Path, hub: Hub) -> None:
    hub.publish(NAME, save(tmp_path / "old"), commit=COMMIT, revision="step1")
    hub.publish(NAME, save(tmp_path / "new", "tiny-neox"), commit=OTHER_COMMIT)
    for revision in (COMMIT, "step1"):
        artifact = add(tmp_path / "store", NAME, revision=revision)
        assert artifact.meta["source"].endswith(COMMIT)
        assert artifact.meta["family"] == "gpt2"
    with pytest.raises(ModelError, match="a slug never moves"):
        add(tmp_path / "store", NAME)
    assert add(tmp_path / "store", NAME, slug="newer").meta["family"] == "gpt_neox"


def test_what_is_there_at_that_commit_is_not_fetched_again(tmp_path: Path, hub: Hub) -> None:
    hub.publish(NAME, save(tmp_path / "files"), commit=COMMIT)
    first = add(tmp_path / "store", NAME)
    hub.requests.clear()
    assert add(tmp_path / "store", NAME).meta == first.meta
    assert [path for path in hub.requests if "/resolve/" in path] == []


def test_only_what_is_needed_is_fetched(tmp_path: Path, hub: Hub) -> None:
    folder = save(tmp_path / "files")
    (folder / "consolidated.safetensors").write_bytes(b"the same again")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    hub.publish(NAME, folder, commit=COMMIT)
    add(tmp_path / "store", NAME)
    fetched = {path.rsplit("/", 1)[-1] for path in hub.requests if "/resolve/" in path}
    assert fetched == {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}


def test_a_family_of_the_hub_that_is_not_measured_is_refused_before_its_weights_are_fetched(
    tmp_path: Path, hub: Hub
) -> None:
    folder = save(tmp_path / "files")
    (folder / "config.json").write_text(json.dumps(MixtralConfig().to_dict()))
    hub.publish(NAME, folder, commit=COMMIT)
    with pytest.raises(AnatomyError, match="got mixtral"):
        add(tmp_path / "store", NAME)
    assert not any("safetensors" in path for path in hub.requests)
    assert list((tmp_path / "store").iterdir()) == []


def test_what_the_hub_refuses_is_said(tmp_path: Path, hub: Hub) -> None:
    hub.publish(NAME, save(tmp_path / "files"), commit=COMMIT)
    with pytest.raises(ModelError, match=r"^Fetching acme/nobody: .* got a name it does not know; a folder .* \./acme"):
        add(tmp_path / "store", "acme/nobody")
    for revision in ("no-such-branch", "c" * 40):
        with pytest.raises(ModelError, match=f"expected a commit, branch or tag of it, got {revision}"):
            add(tmp_path / "store", NAME, revision=revision)
    hub.gated.add(NAME)
    with pytest.raises(ModelError, match="accepted its terms; accept them on its page there and set HF_TOKEN"):
        add(tmp_path / "store", NAME)
    assert not (tmp_path / "store").exists()


def test_a_hub_that_is_out_of_order_or_out_of_reach_is_said(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.broken = True
    with pytest.raises(ModelError, match="the hub answered 503; try again later"):
        add(tmp_path / "store", NAME)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"the hub at http://127\.0\.0\.1:9 cannot be reached \(ConnectError\)"):
        add(tmp_path / "store", NAME)


def test_what_killed_fetches_left_is_removed_and_what_living_ones_use_is_not(tmp_path: Path) -> None:
    dead, living = tmp_path / "fetch-dead", tmp_path / "fetch-living"
    for folder in (dead, living):
        folder.mkdir()
        (folder / "half.safetensors").write_bytes(b"?")
    descriptor = os.open(living, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with scratch_folder(tmp_path, "fetch") as mine:
        assert not dead.exists()
        assert living.exists()
        with scratch_folder(tmp_path, "fetch"):
            assert mine.exists()
    os.close(descriptor)
    assert [path.name for path in tmp_path.iterdir()] == ["fetch-living"]
    shutil.rmtree(living)
