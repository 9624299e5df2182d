/* The tokens of a text, each a button titled with its value: says the value of the one under pointer or focus in the
   line below, and lets arrow keys move between them; the text is one tab stop. */
const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

class ColoredTokens extends HTMLElement {
    connectedCallback() {
        this.tokens = [...this.querySelectorAll(".t")];
        this.said = this.parentElement.querySelector(".said");
        this.addEventListener("pointerover", (event) => this.say(event.target));
        this.addEventListener("focusin", (event) => this.say(event.target));
        this.addEventListener("pointerleave", () => this.say(document.activeElement));
        this.addEventListener("focusout", () => this.say(null));
        this.addEventListener("keydown", (event) => this.move(event));
    }

    /** Nothing where it is none of these tokens. */
    say(token) {
        const known = this.tokens.includes(token);
        this.said.textContent = known ? `“${token.textContent}” ${token.title}` : "";
    }

    move(event) {
        const place = this.tokens.indexOf(event.target);
        if (place < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
        const last = this.tokens.length - 1;
        const to = { Home: 0, End: last }[event.key] ?? place + (STEPS[event.key] ?? NaN);
        if (!(to >= 0 && to <= last)) return;
        event.preventDefault();
        this.tokens[place].tabIndex = -1;
        this.tokens[to].tabIndex = 0;
        this.tokens[to].focus();
    }
}

customElements.define("colored-tokens", ColoredTokens);
