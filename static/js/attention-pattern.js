/* A head's attention on one text: draws the matrix, previews the query under pointer or focus, locks one in the URL.

   The server has already rendered the tokens, the tables and the words for one query; this element redraws the same for
   any other. `embedded` in a text, it keeps its state in the caption of its figure. Bytes are weights, 255 for 1; in the views `value` and `row` they are multiplied by the length that the head
   writes for each key. Shades follow the square root, in the levels of levels.css. */
const N_LEVELS = 20;
const N_KEYS = 6;
const SIZE = 960; // of the drawing, in pixels, before the page scales it
const LINE = 4;

function weightText(weight) {
    if (weight >= 10) return weight.toFixed(1);
    return weight < 0.005 ? "<.01" : weight.toFixed(2).replace(/^0/, "");
}

function signedText(logit) {
    return (logit < 0 ? "−" : "+") + Math.abs(logit).toFixed(2).replace(/^0/, "");
}

/** A token inside a sentence, as the server names it. */
function named(token) {
    const visible = token.replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/\r/g, "␍") || "∅";
    return visible.trim() || "␣";
}

function tokenName(token) {
    return token.textContent.trim() || "␣";
}

class AttentionPattern extends HTMLElement {
    async connectedCallback() {
        this.tokens = [...this.querySelectorAll(".token")];
        this.canvas = this.querySelector("canvas");
        this.ceiling = Number(this.getAttribute("ceiling"));
        this.sinkHidden = this.hasAttribute("sink-hidden");
        this.embedded = this.hasAttribute("embedded");
        this.shown = Number(this.getAttribute("query"));
        this.listed = this.shown; // the query whose promoted tokens are shown
        this.first = this.shown; // what Esc goes back to where nothing is locked
        this.locked = this.hasAttribute("locked") ? this.shown : null;
        this.key = this.hasAttribute("key") ? Number(this.getAttribute("key")) : null; // of the locked cell
        this.noted = [...this.querySelectorAll(".cell-notes li")].map(({ dataset }) => [dataset.query, dataset.key]);
        this.view = this.getAttribute("view");
        const [pattern, norms] = await Promise.all([this.load("src"), this.load("norms")]);
        if (!pattern || (this.view && !norms)) {
            this.canvas.replaceWith("The pattern could not be loaded.");
            return;
        }
        this.bytes = new Uint8Array(pattern);
        this.norms = norms && new Float32Array(norms);
        this.listen();
        this.drawMatrix();
        this.show(this.shown);
        this.setAttribute("ready", "");
    }

    /** The bytes at the address that an attribute holds, or nothing where the site does not answer or has none. */
    async load(attribute) {
        if (!this.hasAttribute(attribute)) return null;
        try {
            const response = await fetch(this.getAttribute(attribute));
            return response.ok ? await response.arrayBuffer() : null;
        } catch {
            return null;
        }
    }

    /** What the head's output at every query promotes: asked for once, when another query than the first is shown. */
    loadPromoted() {
        this.promoted ??= this.load("promoted").then((bytes) => bytes && JSON.parse(new TextDecoder().decode(bytes)));
        return this.promoted;
    }

    disconnectedCallback() {
        this.scheme?.removeEventListener("change", this.redraw);
        document.removeEventListener("keydown", this.unlockOnEscape);
    }

    listen() {
        this.tokens.forEach((token, position) => {
            token.addEventListener("pointerenter", () => this.preview(position));
            token.addEventListener("focus", () => {
                this.preview(position);
                this.announce();
            });
            token.addEventListener("click", (event) => {
                if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                event.preventDefault();
                this.lock(position === this.locked ? null : position);
            });
        });
        this.canvas.addEventListener("pointermove", (event) => this.preview(this.rowUnder(event)));
        this.canvas.addEventListener("click", (event) => {
            const [row, column] = [this.rowUnder(event), this.columnUnder(event)];
            this.lock(row, column <= row ? column : null);
        });
        this.part("keys").addEventListener("click", (event) => {
            const link = event.target.closest("a");
            if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
            event.preventDefault();
            this.lock(this.shown, Number(link.dataset.key ?? new URL(link.href).searchParams.get("k")));
        });
        for (const area of [this.canvas, this.querySelector(".tokens")]) {
            area.addEventListener("pointerleave", () => this.rest());
        }
        this.addEventListener("keydown", (event) => this.onKey(event));
        this.unlockOnEscape = (event) => {
            const typing = event.target.closest("input, textarea, select, [contenteditable]");
            const elsewhere = this.embedded && !this.contains(event.target);
            if (event.key === "Escape" && !typing && !elsewhere) this.lock(null);
        };
        document.addEventListener("keydown", this.unlockOnEscape);
        this.redraw = () => {
            this.drawMatrix();
            this.show(this.shown);
        };
        this.scheme = matchMedia("(prefers-color-scheme: dark)");
        this.scheme.addEventListener("change", this.redraw);
    }

    onKey(event) {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const last = this.tokens.length - 1;
        const steps = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -last, End: last };
        if (steps[event.key] && event.target.classList.contains("token")) {
            event.preventDefault();
            this.tokens[Math.min(last, Math.max(0, this.shown + steps[event.key]))].focus();
        }
    }

    preview(query) {
        if (query === this.shown) return;
        this.show(query);
        this.sayState();
    }

    /** Say the shown query to who cannot see it, only when it was chosen by keyboard or locked. */
    announce() {
        const keys = [...this.part("keys").rows].map((row) => `${row.cells[0].textContent} ${row.cells[2].textContent}`);
        const name = `${tokenName(this.tokens[this.shown])}, position ${this.shown}`;
        this.part("announcement").textContent = `${name}, attends to ${keys.join(", ")}`;
    }

    rowUnder(event) {
        const box = this.canvas.getBoundingClientRect();
        const row = Math.floor(((event.clientY - box.top) / box.height) * this.tokens.length);
        return Math.min(this.tokens.length - 1, Math.max(0, row));
    }

    columnUnder(event) {
        const box = this.canvas.getBoundingClientRect();
        const column = Math.floor(((event.clientX - box.left) / box.width) * this.tokens.length);
        return Math.min(this.tokens.length - 1, Math.max(0, column));
    }

    /** Without a pointer on anything: the locked query, else the focused one, else the first shown. */
    rest() {
        const focused = this.tokens.indexOf(document.activeElement);
        this.show(this.locked ?? (focused >= 0 ? focused : this.first));
        this.sayState();
    }

    /** Lock a query, with a key its cell; null unlocks. */
    lock(position, key = null) {
        this.locked = position;
        this.key = key;
        if (!this.embedded) {
            const url = new URL(location.href);
            this.writeQuery(url);
            if (position === null) url.hash = "";
            url.searchParams.set("text", new URL(this.tokens[0].href).searchParams.get("text"));
            history.replaceState(null, "", url);
        }
        const caption = this.embedded && this.closest("figure").querySelectorAll("figcaption a.embed");
        const links = caption || document.querySelectorAll("a[data-keeps-query]");
        for (const link of links) {
            const target = new URL(link.href);
            this.writeQuery(target);
            link.href = target;
        }
        this.rest();
        this.announce();
    }

    writeQuery(url) {
        if (this.locked === null) url.searchParams.delete("q");
        else url.searchParams.set("q", this.locked);
        if (this.key === null) url.searchParams.delete("k");
        else url.searchParams.set("k", this.key);
    }

    sayState() {
        if (this.locked === null) {
            this.part("state").textContent = "Nothing is locked. Choose any token to lock it.";
            return;
        }
        if (this.shown !== this.locked) {
            const locked = tokenName(this.tokens[this.locked]);
            this.part("state").textContent = `Previewing; “${locked}”, position ${this.locked}, stays locked.`;
            return;
        }
        const unlock = document.createElement("a");
        unlock.href = "#attends";
        unlock.textContent = "Unlock";
        unlock.addEventListener("click", (event) => {
            event.preventDefault();
            this.lock(null);
        });
        if (this.key === null) {
            const where = this.embedded ? "the caption leads to this view." : "the link in the address bar shows this view.";
            this.part("state").replaceChildren(`Locked: ${where} `, unlock);
            return;
        }
        const name = tokenName(this.tokens[this.key]);
        const weight = weightText(this.weights(this.locked)[this.key]);
        const said = `Locked on the cell to “${name}”, position ${this.key}: ${weight}. `;
        if (this.embedded) {
            this.part("state").replaceChildren(said, unlock);
            return;
        }
        const note = document.createElement("a");
        note.href = `${this.getAttribute("note")}&q=${this.locked}&k=${this.key}`;
        note.textContent = "Note on this cell";
        this.part("state").replaceChildren(said, note, " · ", unlock);
    }

    part(name) {
        return this.querySelector(`[data-part=${name}]`);
    }

    weights(query) {
        const n = this.tokens.length;
        const row = Array.from(this.bytes.subarray(query * n, (query + 1) * n), (byte) => byte / 255);
        if (this.view) row.forEach((weight, key) => (row[key] = weight * this.norms[key]));
        if (this.view === "row") {
            const sum = row.reduce((total, weight) => total + weight, 0);
            if (sum > 0) row.forEach((weight, key) => (row[key] = weight / sum));
        }
        if (this.sinkHidden) row[0] = 0;
        return row;
    }

    show(query) {
        const weights = this.weights(query);
        this.shown = query;
        this.tokens.forEach((token, position) => {
            const level = Math.round(N_LEVELS * Math.sqrt(Math.min(1, weights[position] / this.ceiling)));
            const state = position === this.locked ? " locked" : position === query ? " previewed" : "";
            const out = this.sinkHidden && position === 0 ? " out" : "";
            const key = this.key === position && query === this.locked ? " key" : "";
            token.className = `token a${level}${state}${key}${out}`;
            token.tabIndex = position === query ? 0 : -1;
            if (position === query) token.setAttribute("aria-current", "true");
            else token.removeAttribute("aria-current");
        });
        this.part("name").textContent = tokenName(this.tokens[query]);
        this.part("position").textContent = query;
        this.listKeys(weights);
        this.drawQuery(query);
        if (query !== this.listed) this.listPromoted(query);
    }

    async listPromoted(query) {
        const list = this.part("promoted");
        if (!list) return;
        const promoted = await this.loadPromoted();
        if (query !== this.shown) return; // another query was shown meanwhile
        this.listed = query;
        if (!promoted) {
            list.replaceChildren("could not be loaded");
            return;
        }
        list.replaceChildren(
            ...promoted.tokens[query].map((token, place) => {
                const item = document.createElement("li");
                const [name, logit] = [document.createElement("span"), document.createElement("span")];
                name.className = "mono";
                name.textContent = named(token);
                logit.className = "mono soft";
                logit.textContent = signedText(promoted.logits[query][place]);
                item.append(name, " ", logit);
                return item;
            }),
        );
    }

    listKeys(weights) {
        const keys = weights.map((weight, position) => [weight, position]).filter(([weight]) => weight > 0);
        keys.sort((one, other) => other[0] - one[0] || one[1] - other[1]);
        const rows = keys.slice(0, N_KEYS).map(([weight, position]) => {
            const row = document.createElement("tr");
            const cells = [tokenName(this.tokens[position]), position, weightText(weight)];
            row.append(
                ...cells.map((text, column) => {
                    const cell = document.createElement("td");
                    if (column === 0) {
                        const link = document.createElement("a");
                        link.href = this.cellUrl(position);
                        link.dataset.key = position;
                        link.textContent = text;
                        cell.append(link);
                    } else cell.textContent = text;
                    if (column !== 1) cell.className = "mono";
                    return cell;
                }),
            );
            return row;
        });
        this.part("keys").replaceChildren(...rows);
    }

    cellUrl(key) {
        const url = new URL(this.tokens[this.shown].href);
        url.searchParams.set("k", key);
        return url;
    }

    drawMatrix() {
        const n = this.tokens.length;
        const cell = Math.max(1, Math.round(SIZE / n));
        const style = getComputedStyle(this);
        const image = new OffscreenCanvas(n * cell, n * cell);
        const context = image.getContext("2d");
        context.fillStyle = style.getPropertyValue("--card");
        context.fillRect(0, 0, n * cell, n * cell);
        context.fillStyle = style.getPropertyValue("--accent");
        for (let query = 0; query < n; query++) {
            this.weights(query).forEach((weight, key) => {
                context.globalAlpha = Math.sqrt(Math.min(1, weight / this.ceiling));
                if (weight > 0) context.fillRect(key * cell, query * cell, cell, cell);
            });
        }
        this.image = image;
    }

    /** The matrix with a frame around the query's row, and a thinner one around the locked row; corners mark cells with
        notes, a square the locked cell. */
    drawQuery(query) {
        const size = this.image.width;
        this.canvas.width = this.canvas.height = size;
        const context = this.canvas.getContext("2d");
        const cell = size / this.tokens.length;
        context.drawImage(this.image, 0, 0);
        context.strokeStyle = getComputedStyle(this).getPropertyValue("--here");
        context.lineWidth = LINE;
        const frame = (row) => context.strokeRect(LINE / 2, row * cell, size - LINE, cell);
        if (this.locked !== null) frame(this.locked);
        const side = Math.max(cell, 3 * LINE);
        if (this.key !== null && this.locked !== null) {
            const middle = (at) => at * cell + cell / 2 - side / 2;
            context.strokeRect(middle(this.key), middle(this.locked), side, side);
        }
        context.fillStyle = context.strokeStyle;
        for (const [row, column] of this.noted) {
            context.beginPath();
            context.arc(column * cell + cell / 2, row * cell + cell / 2, 2 * LINE, 0, 2 * Math.PI);
            context.fill();
        }
        if (query !== this.locked) context.setLineDash([LINE * 2, LINE * 2]);
        frame(query);
    }
}

customElements.define("attention-pattern", AttentionPattern);
