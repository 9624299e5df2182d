/* A textarea with its preview beside it, and a list of what a link or a name may mean while it is typed. A component name
   in the preview that is no link has a button that makes it one. */
import { Completion } from "./completion.js";
import { keepToken, token } from "./form-token.js";
import { enlivenEmbeds } from "./live-embeds.js";
import { typesetMaths } from "./math.js";

const WAIT = 400; // milliseconds without a key before the preview is made anew

/** Where the n-th character of a text is: Python counts characters, JavaScript halves of some. */
function offset(text, n) {
    return Array.from(text).slice(0, n).join("").length;
}

class TextEditor extends HTMLElement {
    connectedCallback() {
        const form = this.closest("form");
        keepToken(form);
        this.field = this.querySelector("textarea");
        this.preview = this.querySelector(".preview");
        this.shown = ""; // the text that the preview shows
        this.completion = new Completion(this.field, this.getAttribute("complete"), this.getAttribute("model"));
        this.field.addEventListener("input", () => this.later(WAIT));
        this.querySelector(".without-script")?.remove(); // else Enter in another field of the form would press it
        this.field.addEventListener("keydown", (event) => this.onKey(event));
        this.preview.hidden = false;
        this.show();
        this.setAttribute("ready", "");
    }

    disconnectedCallback() {
        clearTimeout(this.timer);
        this.asking?.abort();
        this.completion.close();
    }

    /** Ctrl or Cmd with Enter saves. */
    onKey(event) {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.defaultPrevented) return;
        event.preventDefault();
        const form = this.closest("form");
        form.requestSubmit(form.querySelector("button:not([type='button'])"));
    }

    later(milliseconds) {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.show(), milliseconds);
    }

    /** Ask for the preview of what is typed now and show it; an answer to an older text is not waited for. */
    async show() {
        const text = this.field.value;
        this.asking?.abort();
        if (!text.trim()) {
            this.shown = text;
            this.say("Here is shown what you type.");
            return;
        }
        this.asking = new AbortController();
        const form = new FormData();
        form.set("text", text);
        const headers = { "X-Fragment": "preview", "X-CSRFToken": token(this.closest("form")) };
        const { signal } = this.asking;
        try {
            const address = this.getAttribute("preview");
            const response = await fetch(address, { method: "POST", body: form, headers, signal });
            const markup = await response.text();
            if (response.status === 403) return this.say("The preview needs you to be signed in; your text is still here.");
            if (response.status >= 500) return this.say("The preview could not be made; your text is still here.");
            const wait = Number(response.headers.get("Retry-After"));
            if (wait) this.later(1000 * wait);
            if (!signal.aborted) this.put(markup, text);
        } catch (error) {
            if (error.name !== "AbortError") this.say("The preview could not be loaded; your text is still here.");
        }
    }

    say(sentence) {
        const paragraph = document.createElement("p");
        paragraph.className = "soft";
        paragraph.textContent = sentence;
        this.preview.replaceChildren(paragraph);
    }

    put(markup, text) {
        const buttons = [...this.preview.querySelectorAll("button")];
        const focused = buttons.indexOf(document.activeElement);
        this.preview.replaceChildren(...new DOMParser().parseFromString(markup, "text/html").body.childNodes);
        this.shown = text;
        this.offerLinks();
        typesetMaths(this.preview);
        enlivenEmbeds(this.preview);
        if (focused >= 0) {
            const left = [...this.preview.querySelectorAll("button")];
            (left[Math.min(focused, left.length - 1)] ?? this.preview).focus();
        }
    }

    /** Beside every component name that is no link a button, and one for all where it stands more than once. */
    offerLinks() {
        const names = [...this.preview.querySelectorAll(".component-name")];
        for (const name of names) {
            const same = names.filter((other) => other.dataset.component === name.dataset.component);
            const buttons = [this.button("link it", name.dataset.component, [name])];
            if (same.length > 1 && same[0] === name) {
                buttons.push(this.button(`link all ${same.length}`, name.dataset.component, same));
            }
            name.after(" ", ...buttons);
        }
    }

    button(label, component, names) {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "link-it";
        button.textContent = label;
        button.setAttribute("aria-label", `${label}: ${component}`);
        button.addEventListener("click", () => this.link(names));
        return button;
    }

    /** Put brackets around these names in the text, the last first, so that the others stay where they are. */
    link(names) {
        for (const name of names.toReversed()) {
            const [start, end] = [name.dataset.start, name.dataset.end].map((n) => offset(this.shown, Number(n)));
            if (this.field.value.slice(start, end) !== name.dataset.component) break; // typed since; shown anew soon
            replace(this.field, start, end, `[[${name.dataset.component}]]`);
        }
        this.later(0);
    }
}

/** Replace a part of what is typed, so that it can be undone, and leave the focus where it is. */
export function replace(field, start, end, words) {
    const focused = document.activeElement;
    field.focus();
    field.setSelectionRange(start, end);
    if (!document.execCommand("insertText", false, words)) {
        field.setRangeText(words, start, end, "end");
        field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    if (focused !== field) focused?.focus?.();
}

customElements.define("text-editor", TextEditor);
