/* Keeps what is typed into a form as a draft on the server, a moment after the last key. Without this script there is a
   button for it. */
const PAUSE = 1500;

class DraftKeeper extends HTMLElement {
    connectedCallback() {
        this.form = this.querySelector("form");
        this.said = this.querySelector("[data-kept]");
        this.kept = this.typed();
        this.form.addEventListener("input", () => {
            clearTimeout(this.timer);
            this.sent = false; // gone on with after coming back
            this.timer = setTimeout(() => this.keep(), PAUSE);
        });
        this.form.addEventListener("submit", (event) => this.onSubmit(event));
        document.addEventListener("visibilitychange", () => {
            if (document.hidden) this.keep();
        });
    }

    /** What is sent is a draft no more: nothing is kept while the page goes, and what is being kept is waited for, so that
        saving ends it. */
    onSubmit(event) {
        clearTimeout(this.timer);
        if (this.keeping) {
            event.preventDefault();
            this.keeping.then(() => this.form.requestSubmit(event.submitter));
        } else this.sent = true;
    }

    typed() {
        const fields = new FormData(this.form);
        return `${fields.get("title") ?? ""}\n${fields.get("text")}`;
    }

    keep() {
        const typed = this.typed();
        if (this.sent || typed === this.kept) return;
        const keeping = this.send(typed).finally(() => {
            if (this.keeping === keeping) this.keeping = null;
        });
        this.keeping = keeping;
    }

    async send(typed) {
        try {
            const answer = await fetch(this.getAttribute("action"), { method: "POST", body: new FormData(this.form) });
            const data = await answer.json();
            if (!answer.ok) throw new Error(data.error);
            this.kept = typed;
            this.said.textContent = `Draft kept at ${new Date(data.kept_at).toLocaleTimeString()}.`;
        } catch (error) {
            this.said.textContent = `The draft could not be kept: ${error.message}`;
        }
    }
}

customElements.define("draft-keeper", DraftKeeper);
