/* `/` goes to the jump box from anywhere on the page, Esc leaves it. */
class JumpBox extends HTMLElement {
    connectedCallback() {
        this.input = this.querySelector("input[name=q]");
        this.focusOnSlash = (event) => {
            const typing = event.target.closest("input, textarea, select, [contenteditable]");
            if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
                event.preventDefault();
                this.input.focus();
                this.input.select();
            }
        };
        document.addEventListener("keydown", this.focusOnSlash);
        this.input.addEventListener("keydown", (event) => {
            if (event.key === "Escape") this.input.blur();
        });
    }

    disconnectedCallback() {
        document.removeEventListener("keydown", this.focusOnSlash);
    }
}

customElements.define("jump-box", JumpBox);
