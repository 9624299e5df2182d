"""From the words of a link to what they name.

A target is text: `gpt2/L5H1`, `gpt2`, `ioi`, `@alice`, `a/12`, `x/1a2b3c4d`. `normalise` gives it one spelling without
looking at the database, so a link can be written before there is what it names, and outlives it. `resolve` looks, for
many at once.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterable

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet, Value
from django.db.models.functions import Concat

from analysis.schema import SLUG, Component, SchemaError
from wiki.accounts.models import User
from wiki.components.models import LanguageModel
from wiki.experiments.models import Experiment
from wiki.lib.prepared import objects, padded, rows

from .access import pages_visible_to, person_of, sight_of
from .experiments import digits_named, experiments_beginning
from .models import Alias, Kind, Page, TargetForm

MAX_LENGTH = 200
_ADDRESS = re.compile(r"a/[1-9][0-9]{0,17}", re.ASCII)
_PERSON = re.compile(r"@[\w.@+-]{1,150}")


@dataclasses.dataclass(frozen=True)
class Target:
    """What a link names, in the one spelling that is stored and compared."""

    form: TargetForm
    text: str


@dataclasses.dataclass(frozen=True)
class Resolution:
    """What a target names now: one of these is there, and for a component its model too."""

    model: LanguageModel | None = None
    component: Component | None = None
    page: Page | None = None
    user: User | None = None  # with its key and name alone
    experiment: Experiment | None = None


def normalise(words: str, *, scope: str = "") -> Target | None:
    """The target of these words on a page about the model `scope`; None where they cannot name anything."""
    words = re.split(r"[?#]", words, maxsplit=1)[0].strip()
    if not words or len(words) > MAX_LENGTH or not words.isprintable():
        return None
    if _PERSON.fullmatch(words):
        return Target(TargetForm.PERSON, words)
    if _ADDRESS.fullmatch(words):
        return Target(TargetForm.ADDRESS, words)
    if digits := digits_named(words):
        return Target(TargetForm.ADDRESS, f"x/{digits}")
    slug, slash, name = words.rpartition("/")
    slug = slug.strip() if slash else scope
    if SLUG.fullmatch(slug) and (component := _parsed(name)):
        return Target(TargetForm.COMPONENT, f"{slug}/{component}")
    return Target(TargetForm.TITLE, key) if (key := key_of(words)) and len(key) <= MAX_LENGTH else None


def key_of(title: str) -> str:
    """A title as links and addresses name it: small letters, hyphens between words."""
    plain = unicodedata.normalize("NFKC", re.split(r"[?#]", title, maxsplit=1)[0]).strip().casefold()
    return re.sub(r"[\s_]+", "-", plain)


def _parsed(name: str) -> Component | None:
    try:
        return Component.parse(name)
    except SchemaError:
        return None


def resolve(targets: Iterable[Target], *, user: User | AnonymousUser) -> dict[Target, Resolution]:
    """What these targets name, of what `user` may see; left out is what names nothing. Three queries, however
    many, and one more where experiments are named."""
    wanted = set(targets)
    by_form = {form: {target.text for target in wanted if target.form == form} for form in TargetForm}
    slugs = by_form[TargetForm.TITLE] | {text.partition("/")[0] for text in by_form[TargetForm.COMPONENT]}
    models = {
        model.slug: model
        for model in objects(_models, *padded(sorted(slug for slug in slugs if SLUG.fullmatch(slug)), ""))
    }
    titles = padded(sorted(by_form[TargetForm.TITLE]), "")
    people = padded(sorted(name[1:] for name in by_form[TargetForm.PERSON]), "")
    # titles and people in one query: the name, and the row that it is the name of
    names = dict(rows(_names, (len(titles),), *titles, *people))
    digits = [text[2:] for text in by_form[TargetForm.ADDRESS] if text.startswith("x/")]
    experiments = {f"x/{each}": found for each, found in experiments_beginning(digits).items()}
    notes = {text: int(text[2:]) for text in by_form[TargetForm.ADDRESS] if text.startswith("a/")}
    keys = [*(pk for name, pk in names.items() if name[0] != "@"), *notes.values()]
    pages = {page.pk: page for page in objects(_pages, *sight_of(user), *padded(sorted(keys), 0))}

    def resolved(target: Target) -> Resolution | None:
        text = target.text
        if target.form == TargetForm.COMPONENT:
            slug, _, name = text.partition("/")
            component, model = Component.parse(name), models.get(slug)
            return Resolution(model=model, component=component) if model and component.exists_in(model.sizes) else None
        if target.form == TargetForm.PERSON:
            return Resolution(user=User(pk=names[text], username=text[1:])) if text in names else None
        if target.form == TargetForm.TITLE and text in models:
            return Resolution(model=models[text])
        if text in experiments:
            return Resolution(experiment=experiments[text])
        page = pages.get(names.get(text) or notes.get(text) or 0)
        return Resolution(page=page) if page else None

    return {target: found for target in wanted if (found := resolved(target))}


def _models(*slugs: str) -> QuerySet[LanguageModel]:
    return LanguageModel.objects.filter(slug__in=slugs)


def _names(n_titles: tuple[int], *names: str) -> QuerySet[Alias, tuple[str, int]]:
    titles = Alias.objects.filter(key__in=names[: n_titles[0]]).order_by().values_list("key", "page_id")
    named = User.objects.filter(username__in=names[n_titles[0] :], is_active=True)
    return titles.union(named.order_by().values_list(Concat(Value("@"), "username"), "pk"), all=True)


def _pages(moderates: bool | None, key: int, *keys: int) -> QuerySet[Page]:
    return pages_visible_to(person_of(moderates, key)).filter(pk__in=keys).order_by()


def targets_of(page: Page) -> list[str]:
    """Every target that leads to a page: an article's titles, a summary's component, the address of others."""
    if page.kind == Kind.ARTICLE:
        return [alias.key for alias in page.aliases.all()]
    return [page.about] if page.kind == Kind.SUMMARY else [f"a/{page.pk}"]
