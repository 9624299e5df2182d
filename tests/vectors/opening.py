"""Opens pages in Chromium under the site's policy, and says what vectors made of them."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.core.cache import cache
from django.test import Client
from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Request, Response
from playwright.sync_api import Error as PlaywrightError

from tests.markdown.vectors import ATTRIBUTES, ELEMENTS
from wiki.accounts.models import User

from .fields import numbers_seen
from .sending import Sent

ROOT = Path(__file__).parents[2]
# What is neither HTML nor SVG is no page: what matters is that no browser takes it for one.
DATA = {"application/json", "application/atom+xml", "text/plain", "text/csv", "application/x-bibtex", "text/x-bibtex"}

_WATCH = """
window.__reported = [];
document.addEventListener("securitypolicyviolation", (event) =>
    window.__reported.push(`the policy refused ${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
"""

# What an event handler, a late image or a timer would do is done before the page is judged.
_STIR = """() => {
    for (const details of document.querySelectorAll("details")) details.open = true;
    const kinds = ["pointerover", "pointerenter", "mouseover", "mouseenter", "mousemove", "focus", "toggle", "error"];
    for (const element of document.querySelectorAll("body, body *"))
        for (const kind of kinds) element.dispatchEvent(new Event(kind, {bubbles: false}));
    const links = [...document.querySelectorAll("main a[href], main button, main input, main textarea")];
    for (const element of links.slice(0, 20)) {
        element.dispatchEvent(new PointerEvent("pointerover", {bubbles: true}));
        element.focus({preventScroll: true});
    }
}"""

# In what the server sent, before any script, and in what stands on the page now.
_JUDGE = """async ([source, elements, attributes, inTexts, attributesInTexts]) => {
    const found = [];
    const sent = new DOMParser().parseFromString(source, document.contentType);
    const ofText = new RegExp(`^(?:${inTexts})$`), ofTextAttributes = new RegExp(`^(?:${attributesInTexts})$`);
    const addresses = new Set(["href", "src", "action", "formaction", "data", "poster", "background", "cite", "ping",
        "xlink:href", "data-live", "hx-get", "hx-post", "manifest", "codebase", "data-preview-url", "data-url"]);
    const EXTERNAL = "nofollow noopener noreferrer";
    const own = (value) => new URL(value, location.href).origin === location.origin;
    for (const [where, tree] of [["sent", sent], ["shown", document]])
        for (const element of tree.querySelectorAll("*")) {
            const name = element.localName, say = (words) =>
                found.push(`${where}: ${words} in ${element.outerHTML.slice(0, 160)}`);
            const isInText = element.matches("div.text *, [data-passages] *, article.note *");
            if (!elements.includes(name) && !(isInText && ofText.test(name)) && !element.closest(".math"))
                say(`<${name}>`);
            if (["meta", "title", "style"].includes(name) && element.closest("body") && !element.closest("svg"))
                say(`<${name}>`);
            if (name === "link" && !/^\\/(static\\/|[^/]*\\.atom)/.test(element.getAttribute("href"))) say("a link");
            const isData = element.type === "application/json";
            if (name === "script" && !isData && !/^\\/static\\//.test(element.getAttribute("src") ?? ""))
                say("a script");
            for (const {name: key, value} of element.attributes) {
                if (where === "sent" && !attributes.includes(key) && !/^data-(?!allauth)/.test(key)
                    && !(isInText && ofTextAttributes.test(key)))
                    say(`the attribute ${key}`);
                if (/^on|^srcdoc$|^http-equiv$|[^a-z0-9:-]/i.test(key)) say(`the attribute ${key}`);
                if (!addresses.has(key)) continue;
                const address = new URL(value, location.href);
                const isLink = key === "href" && name === "a";
                if (!["http:", "https:"].includes(address.protocol) && !(isLink && address.protocol === "mailto:")
                    && !(name === "img" && /^data:image\\/(png|gif)/.test(value)))
                    say(`an address ${value.slice(0, 80)}`);
                else if (address.protocol !== "mailto:" && !own(value) && !(isLink && element.rel === EXTERNAL))
                    say(`another site's address ${value.slice(0, 80)}`);
            }
        }
    if (window.__ran !== undefined) found.push(`a vector ran: ${window.__ran}`);
    return [...found, ...window.__reported];
}"""


def _site_files(ending: str) -> str:
    """All templates or code of one kind that the site's pages are made of, allauth's among them."""
    allauth = Path(str(import_module("allauth").__file__)).parent / "templates"
    folders = [ROOT / "wiki", ROOT / "static/js", allauth]
    return "\n".join(file.read_text() for folder in folders for file in sorted(folder.rglob(f"*{ending}")))


def _elements_of_pages() -> set[str]:
    """Elements that the site's own templates, code and scripts make; none that loads or runs anything."""
    tags = set(re.findall(r"<([a-z][a-z0-9-]*)", _site_files(".html") + _site_files(".svg") + _site_files(".py")))
    made = set(re.findall(r"""createElement(?:NS)?\((?:[\w.]+, ?)?["']([a-zA-Z-]+)["']""", _site_files(".js")))
    never = {"iframe", "object", "embed", "base", "applet", "frame", "frameset", "template", "math", "video", "audio"}
    return {*tags, *made, "i", "noscript", "tbody"} - never


def _attributes_of_pages() -> set[str]:
    """Attributes that stand in tags of the site's own templates or in its code, none of them a handler."""
    templates = re.sub(r"{%.*?%}|{{.*?}}|{#.*?#}", " ", _site_files(".html") + _site_files(".svg"), flags=re.DOTALL)
    inside = " ".join(re.findall(r"<[a-z][a-z0-9-]*\s([^<>]*)>", templates))
    named = re.findall(r"""(?<![\w-])([a-z][a-zA-Z0-9:-]*)=["'{]""", inside + _site_files(".py"))
    alone = [
        "checked",
        "defer",
        "disabled",
        "formnovalidate",
        "hidden",
        "locked",
        "multiple",
        "novalidate",
        "open",
        "readonly",
        "required",
        "selected",
    ]
    return {name for name in named if not name.startswith("on")} - {"autofocus", "style", "srcdoc"} | set(alone)


ELEMENTS_OF_PAGES, ATTRIBUTES_OF_PAGES = sorted(_elements_of_pages()), sorted(_attributes_of_pages())


def sign_in(context: BrowserContext, url: str, person: User) -> None:
    """Somebody who has just typed the password: allauth asks again before it shows keys."""
    client = Client()
    client.force_login(person)
    session = client.session
    session["account_authentication_methods"] = [
        {"method": "password", "at": time.time(), "username": person.get_username()}
    ]
    session.save()
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": url}])


class Opener:
    """A page of a browser that opens many addresses one after the other and keeps what was wrong."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.wrong: list[str] = []
        self.seen: dict[str, set[int]] = {}  # of each column, which vectors were in the answers
        self.texts: list[str] = []
        context.add_init_script(_WATCH)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("console", self._note_message)
        self.page.on("pageerror", lambda error: self.texts.append(f"an error: {error}"))
        self.page.on("dialog", self._note_dialog)
        self.page.on("request", self._note_request)

    def _note_message(self, message: ConsoleMessage) -> None:
        # that a picture is not there, or that a page is answered with 404, is no error here
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.texts.append(f"in the console: {message.text}")

    def _note_dialog(self, dialog: Dialog) -> None:
        self.texts.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.texts.append(f"asked another site: {request.url}")

    def open(self, address: str) -> None:
        """Open it, stir it, judge it."""
        self.texts.clear()
        try:
            response = self.page.goto(self.url + address, wait_until="load")
        except PlaywrightError as error:
            if "Download is starting" not in str(error):
                raise
            return  # no page: it is kept as a file
        assert response is not None
        self.judge(address, response)

    def send(self, field: Sent, vector: str) -> None:
        """Send a vector in a field of a form or of an address."""
        sent = {**dict(field.beside), field.name: vector}
        if field.method == "GET":
            self.open(f"{urlsplit(field.address).path}?{urlencode(sent)}")
            return
        if self.page.url == "about:blank" or self.page.locator("[name=csrfmiddlewaretoken]").count() == 0:
            self.page.goto(f"{self.url}/accounts/settings/")
        cache.clear()  # limits are not what is asked about
        self.submit(field.address, sent)

    def submit(self, address: str, sent: dict[str, str]) -> None:
        """Send a form of this page to an address, as a person would who sends what they like."""
        self.texts.clear()
        with self.page.expect_navigation(wait_until="load") as navigation:
            self.page.evaluate(
                """([address, sent]) => {
                    const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
                    const form = document.createElement("form");
                    form.method = "post";
                    form.action = address;
                    for (const [name, value] of Object.entries({csrfmiddlewaretoken: token, ...sent})) {
                        const field = document.createElement("textarea");
                        field.name = name;
                        field.value = value;
                        form.append(field);
                    }
                    document.body.append(form);
                    HTMLFormElement.prototype.submit.call(form);
                }""",
                [address, sent],
            )
        assert navigation.value is not None
        self.judge(f"posting {', '.join(sent)} to {address}", navigation.value)

    def judge(self, what: str, response: Response) -> None:
        problems = list(_problems_of_answer(response))
        body = response.text()
        if not problems and _kind(response) in {"text/html", "image/svg+xml"}:
            here = self.page.url
            self.page.evaluate(_STIR)
            allowed = [ELEMENTS_OF_PAGES, ATTRIBUTES_OF_PAGES, ELEMENTS.pattern, ATTRIBUTES.pattern]
            problems += self.page.evaluate(_JUDGE, [body, *allowed])
            if urlsplit(self.page.url).path != urlsplit(here).path:
                problems.append(f"went to {self.page.url}")
        for label, numbers in numbers_seen(html.unescape(body)).items():
            self.seen.setdefault(label, set()).update(numbers)
        self.wrong += [f"{what}: {problem}" for problem in dict.fromkeys([*problems, *self.texts])]


def _kind(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0]


def _problems_of_answer(response: Response) -> Iterator[str]:
    """A page has the whole policy; what is no page says so, and no browser may guess."""
    kind, policy = _kind(response), response.headers.get("content-security-policy", "")
    if response.status >= 500:
        yield f"status {response.status}"
    if kind not in DATA | {"text/html", "image/svg+xml"}:
        yield f"the type {kind}"
    if response.headers.get("x-content-type-options") != "nosniff":
        yield "a browser may guess its type"
    if "script-src 'self';" not in policy + ";" or "unsafe" in policy or "default-src 'none'" not in policy:
        yield f"the policy {policy!r}"
