/* What a link (`[[`), an embed (`![[`) or a name (`@`) in a textarea may mean, in a list below the caret: arrows choose, Enter
   and Tab take, Esc closes. The textarea keeps the focus and points at the chosen entry. */
const LINK = /(!?)\[\[(?:[a-z-]+::)?([^[\]|\n]{1,100})$/;
const PERSON = /(?:^|[^\w/@.])@([A-Za-z0-9][A-Za-z0-9_.+-]{0,99})$/;
const WAIT = 120; // milliseconds without a key before the site is asked

let lists = 0;

export class Completion {
    constructor(field, address, model) {
        Object.assign(this, { field, address, model, items: [], chosen: 0, begun: null });
        this.list = document.createElement("ul");
        this.list.id = `completions-${++lists}`;
        this.list.className = "completions";
        this.list.setAttribute("role", "listbox");
        this.list.setAttribute("aria-label", "What may be meant");
        this.list.hidden = true;
        this.said = document.createElement("p");
        this.said.className = "hidden";
        this.said.setAttribute("aria-live", "polite");
        field.after(this.list, this.said);
        field.setAttribute("aria-autocomplete", "list");
        field.setAttribute("aria-controls", this.list.id);
        field.setAttribute("autocomplete", "off");
        field.addEventListener("input", () => this.later());
        field.addEventListener("keydown", (event) => this.onKey(event));
        field.addEventListener("blur", () => this.close());
        field.addEventListener("click", () => this.close());
        // before the field loses the focus
        this.list.addEventListener("pointerdown", (event) => {
            event.preventDefault();
            const place = [...this.list.children].indexOf(event.target.closest("li"));
            if (place >= 0) this.take(place);
        });
    }

    later() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.ask(), WAIT);
    }

    /** What is begun before the caret: where its words start, and what kind it is. */
    beginning() {
        const { value, selectionStart, selectionEnd } = this.field;
        if (selectionStart !== selectionEnd) return null;
        const before = value.slice(0, selectionStart);
        const link = before.slice(-400).match(LINK);
        if (link) return { kind: link[1] ? "embed" : "link", words: link[2], start: selectionStart - link[2].length };
        const person = before.slice(-120).match(PERSON);
        return person && { kind: "person", words: person[1], start: selectionStart - person[1].length };
    }

    async ask() {
        const begun = this.beginning();
        if (!begun) return this.close();
        this.asking?.abort();
        this.asking = new AbortController();
        const query = new URLSearchParams({ q: begun.words.trimStart(), kind: begun.kind, model: this.model });
        try {
            const response = await fetch(`${this.address}?${query}`, { signal: this.asking.signal });
            if (!response.ok) return this.close();
            const { items } = await response.json();
            const now = this.beginning();
            if (now?.words === begun.words && now.start === begun.start) this.open(begun, items);
        } catch {
            // asked anew, or the site does not answer: people type the rest
        }
    }

    open(begun, items) {
        if (!items.length || document.activeElement !== this.field) return this.close();
        Object.assign(this, { begun, items });
        this.list.replaceChildren(
            ...items.map((item, place) => {
                const entry = document.createElement("li");
                entry.id = `${this.list.id}-${place}`;
                entry.setAttribute("role", "option");
                const [label, detail] = [document.createElement("span"), document.createElement("span")];
                label.textContent = item.label;
                detail.className = "soft";
                detail.textContent = item.detail;
                entry.append(label, " ", detail);
                return entry;
            }),
        );
        this.list.hidden = false;
        this.place();
        this.choose(0);
        this.said.textContent = `${items.length} to choose from, with the arrow keys.`;
    }

    close() {
        clearTimeout(this.timer);
        this.asking?.abort();
        this.begun = null;
        this.list.hidden = true;
        this.list.replaceChildren();
        this.said.textContent = "";
        this.field.removeAttribute("aria-activedescendant");
    }

    choose(place) {
        this.chosen = (place + this.items.length) % this.items.length;
        [...this.list.children].forEach((entry, at) => entry.setAttribute("aria-selected", at === this.chosen));
        const entry = this.list.children[this.chosen];
        this.field.setAttribute("aria-activedescendant", entry.id);
        entry.scrollIntoView({ block: "nearest" });
    }

    onKey(event) {
        if (!this.begun || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
        const steps = { ArrowDown: 1, ArrowUp: -1 };
        if (steps[event.key]) this.choose(this.chosen + steps[event.key]);
        else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey) this.take(this.chosen);
        else if (event.key === "Escape") this.close();
        else {
            if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) this.close();
            return;
        }
        event.preventDefault();
        event.stopPropagation();
    }

    /** Put what was chosen in the place of what was begun, with the end of the link; in an embed the caret stays in it. */
    take(place) {
        const { begun, field } = this;
        const { insert } = this.items[place];
        const after = field.value.slice(field.selectionStart);
        const end = begun.kind === "person" ? (/^\s/.test(after) ? "" : " ") : after.startsWith("]]") ? "" : "]]";
        this.close();
        field.setSelectionRange(begun.start, field.selectionStart);
        if (!document.execCommand("insertText", false, insert + end)) {
            field.setRangeText(insert + end, begun.start, field.selectionStart, "end");
            field.dispatchEvent(new Event("input", { bubbles: true }));
        }
        const inside = begun.kind === "embed" ? 0 : begun.kind === "link" ? 2 : end.length || 1;
        field.selectionStart = field.selectionEnd = begun.start + insert.length + inside;
        this.close(); // what the insertion itself began
    }

    /** Below the line of the caret: a copy of the text in the same box says where that is. */
    place() {
        const { field, list } = this;
        const copy = document.createElement("div");
        const style = getComputedStyle(field);
        for (const name of ["font", "letterSpacing", "padding", "border", "lineHeight", "tabSize"]) copy.style[name] = style[name];
        Object.assign(copy.style, { position: "absolute", visibility: "hidden", boxSizing: "border-box" });
        Object.assign(copy.style, { whiteSpace: "pre-wrap", overflowWrap: "break-word", width: `${field.clientWidth}px` });
        const caret = document.createElement("span");
        caret.textContent = "\u200b";
        copy.append(field.value.slice(0, this.begun.start), caret);
        field.parentElement.append(copy);
        const line = parseFloat(style.lineHeight) || 20;
        const top = field.offsetTop + Math.min(caret.offsetTop - field.scrollTop + line, field.offsetHeight);
        const left = Math.min(caret.offsetLeft, field.offsetWidth - list.offsetWidth);
        copy.remove();
        list.style.top = `${top + 4}px`;
        list.style.left = `${field.offsetLeft + Math.max(0, left)}px`;
    }
}
