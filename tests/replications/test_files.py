"""The experiments' files: each is legal, and those about heads follow from what attention and ablation find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.anatomy import sizes_of
from analysis.datasets.tasks.table import TASKS
from analysis.replications.bracket_heads import BracketHead, BracketHeads, find_bracket_heads
from analysis.replications.brackets import bracket_experiments
from analysis.replications.gallery import COUNTERPARTS, TRAPS
from analysis.replications.induction import induction_experiments
from analysis.replications.induction_heads import LookingHead, LookingHeads, find_looking_heads
from analysis.replications.language_model import MODEL, language_model_experiments
from analysis.replications.recorded import EXPERIMENTS, experiment_file, read_recorded
from analysis.replications.replicate import LOOKED_AT, Found, _random_rows, keys, read_row, texts_of
from analysis.replications.table import INDUCTION, ROWS
from analysis.schema import Sizes
from analysis.scrubbing.legality import World, problems
from analysis.scrubbing.parts import TransformerParts
from analysis.store import open_artifact
from tests.replications.conftest import load

SMOLLM2 = Sizes(n_layers=30, n_heads=9, n_kv_heads=3, d_model=576, d_head=64, d_mlp=1536, d_vocab=49_152)


def test_every_row_has_a_file_and_every_file_a_row() -> None:
    files = {str(file.relative_to(EXPERIMENTS).with_suffix("")) for file in EXPERIMENTS.rglob("*.yaml")}
    assert files == set(keys())
    assert len(keys()) == len(set(keys()))
    known = {*keys()}
    for row in ROWS:
        assert {row.explained_by, row.against} - {None} <= known, row.key
        assert (row.explained_by is None) == (row.because == "")
    assert {trap.against for trap in TRAPS} - {None} == set(COUNTERPARTS)


def sizes_by_model(store: Path) -> dict[str, Sizes]:
    return {slug: sizes_of(load(store, slug).config) for slug in ("paren-balance", "attn-only-2l")} | {MODEL: SMOLLM2}


def test_every_file_is_a_legal_experiment(organisms: Path) -> None:
    sizes = sizes_by_model(organisms)
    for key in keys():
        experiment = read_row(key)
        said = experiment.hypothesis
        estimated = frozenset(rewrite.head for rewrite in said.rewrites)
        world = World(
            said.model,
            said.model_hash,
            said.dataset,
            said.dataset_hash,
            parts=TransformerParts(sizes[said.model], estimated=estimated),
            rows=experiment.rows,
            features={name: feature.by_position for name, feature in TASKS[experiment.task].features.items()},
            roles=frozenset(TASKS[experiment.task].roles),
            positions={"brackets": 42, "induction-random": 101, "induction-text": 128}[experiment.task],
        )
        assert problems(said, world) == [], key
        # what was looked for is tested elsewhere
        assert experiment.split == "confirm", key


def texts(group: str, experiments: dict[str, Any]) -> dict[str, str]:
    return texts_of({group: Found([], {}, {f"{group}/{key}": of for key, of in experiments.items()})})


def test_files_about_brackets_follow_from_what_is_found(organisms: Path) -> None:
    heads = find_bracket_heads(load(organisms, "paren-balance"))
    assert (heads.count, heads.horizon, heads.proportion) == (
        ("L1H0", "L1H1", "L2H1"),
        ("L0H0", "L0H1", "L2H0"),
        "L0H1",
    )
    # shares of one whole
    for test in ("count", "horizon"):
        assert sum(getattr(head, test) for head in heads.heads) == pytest.approx(1)
    model_hash = open_artifact(organisms / "models" / "paren-balance").meta["hash"]
    for key, text in texts("brackets", bracket_experiments(heads, model_hash=model_hash)).items():
        assert experiment_file(key).read_text() == text, key


def test_files_about_induction_follow_from_what_is_found(organisms: Path) -> None:
    artifact = open_artifact(organisms / "models" / "attn-only-2l")
    model = load(organisms, "attn-only-2l")
    heads = find_looking_heads(model, _random_rows(artifact, LOOKED_AT[INDUCTION]), ablate=False)
    assert heads.role("induction") == ("L1H2", "L1H0")
    assert heads.role("previous_token", below=1) == ("L0H4",)
    assert heads.role("itself", below=1) == ("L0H2", "L0H6")
    experiments = induction_experiments(heads, model_hash=artifact.meta["hash"])
    for key, text in texts("induction", experiments).items():
        assert experiment_file(key).read_text() == text, key


def test_files_about_smollm2_follow_from_what_was_recorded_of_its_heads() -> None:
    recorded = read_recorded()
    heads = LookingHeads(tuple(LookingHead(**head) for head in recorded["found"]["smollm2"]["heads"]))
    assert heads.role("induction")[:3] == ("L18H6", "L17H3", "L17H4")  # as a third party's survey has it
    experiments = language_model_experiments(heads, SMOLLM2, model_hash=recorded["models"][MODEL])
    for key, text in texts("smollm2", experiments).items():
        assert experiment_file(key).read_text() == text, key


def test_a_head_plays_the_part_in_which_its_share_is_larger() -> None:
    def head(count: float, horizon: float) -> BracketHead:
        return BracketHead("L1H0", 0.5, 0.5, count, horizon)

    assert head(0.3, 0.2).test == "count"
    assert head(0.06, 0.2).test == "horizon"
    assert head(0.04, 0.04).test is None
    assert BracketHeads((head(0.04, 0.04),)).count == ()
