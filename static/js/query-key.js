/* Choosing a query and a key: the links of the server, followed without loading the whole page anew.

   The server renders every state; this element fetches the page that a link names and puts its own part in place, so that
   keyboard focus and scroll position stay. Arrow keys move along the tokens, Esc goes a step back. */
class QueryKey extends HTMLElement {
    connectedCallback() {
        this.addEventListener("click", (event) => this.follow(event));
        this.addEventListener("keydown", (event) => this.move(event));
        this.onEscape = (event) => {
            const typing = event.target.closest("input, textarea, select, [contenteditable]");
            if (event.key === "Escape" && !typing) this.querySelector("[data-part=back]")?.click();
        };
        this.onHistory = () => this.load(location.href);
        document.addEventListener("keydown", this.onEscape);
        addEventListener("popstate", this.onHistory);
        this.prepare(0);
        this.setAttribute("ready", "");
    }

    disconnectedCallback() {
        document.removeEventListener("keydown", this.onEscape);
        removeEventListener("popstate", this.onHistory);
    }

    /** The tokens are one tab stop. */
    prepare(position) {
        this.tokens = [...this.querySelectorAll("a.token")];
        const here = Math.min(position, this.tokens.length - 1);
        this.tokens.forEach((token, index) => (token.tabIndex = index === here ? 0 : -1));
    }

    move(event) {
        const at = this.tokens.indexOf(event.target);
        if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
        const last = this.tokens.length - 1;
        const steps = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -last, End: last };
        if (!steps[event.key]) return;
        event.preventDefault();
        const next = Math.min(last, Math.max(0, at + steps[event.key]));
        this.tokens[at].tabIndex = -1;
        this.tokens[next].tabIndex = 0;
        this.tokens[next].focus();
    }

    async follow(event) {
        const link = event.target.closest("a");
        const modified = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
        // links to other pages and to files are left to the browser
        if (!link || modified || !/^(\?|\.\/$)/.test(link.getAttribute("href"))) return;
        event.preventDefault();
        const focused = this.tokens.indexOf(document.activeElement);
        if (await this.load(link.href)) {
            history.pushState(null, "", link.href);
            this.prepare(Math.max(0, focused));
            if (focused >= 0) this.tokens[Math.min(focused, this.tokens.length - 1)]?.focus();
            else this.querySelector("[data-part=back]")?.focus();
        } else {
            location.assign(link.href);
        }
    }

    /** Put the part of another state in place; false where the site does not answer with one. */
    async load(address) {
        try {
            const response = await fetch(address);
            const page = new DOMParser().parseFromString(await response.text(), "text/html");
            const part = page.querySelector("query-key");
            if (!response.ok || !part) return false;
            this.replaceChildren(...part.children);
            this.prepare(0);
            return true;
        } catch {
            return false;
        }
    }
}

customElements.define("query-key", QueryKey);
