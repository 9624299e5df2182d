"""A person's own text on the pages of layers and neurons."""

from __future__ import annotations

from django.test import Client

from wiki.components.models import LanguageModel

from .building_texts import build_prompt


def test_a_layer_shows_all_its_heads_on_the_text(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    content = client.get(f"/m/tiny/L1/?text={prompt.hash[:12]}").content.decode()
    assert f'src="/t/{prompt.hash}/patterns/L1.u8"' in content
    patterns = client.get(f"/t/{prompt.hash}/patterns/L1.u8")
    one = client.get(f"/t/{prompt.hash}/patterns/L1H2.u8").content
    assert patterns.content[2 * len(one) : 3 * len(one)] == one
    assert "immutable" in patterns["Cache-Control"]
    assert '/m/tiny/text/?next=L1"' in content


def test_a_neuron_shows_its_activations_on_the_text(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    content = client.get(f"/m/tiny/L1N5/?text={prompt.hash[:12]}").content.decode()
    assert "On your text" in content
    assert '/m/tiny/text/?next=L1N5"' in content
    assert "On your text" not in client.get("/m/tiny/L1N5/").content.decode()
