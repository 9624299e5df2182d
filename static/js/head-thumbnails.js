/* The attention patterns of all heads of a layer on one text, a small canvas each, from one array of bytes
   [head, query, key] in which 255 is 1; shades follow the square root. */
class HeadThumbnails extends HTMLElement {
    async connectedCallback() {
        this.canvases = [...this.querySelectorAll("canvas")];
        this.n = Number(this.getAttribute("tokens"));
        this.bytes = await this.load();
        if (!this.bytes) {
            this.canvases.forEach((canvas) => canvas.remove());
            this.append("The patterns could not be loaded.");
            return;
        }
        this.draw();
        this.scheme = matchMedia("(prefers-color-scheme: dark)");
        this.redraw = () => this.draw();
        this.scheme.addEventListener("change", this.redraw);
        this.setAttribute("ready", "");
    }

    disconnectedCallback() {
        this.scheme?.removeEventListener("change", this.redraw);
    }

    async load() {
        try {
            const response = await fetch(this.getAttribute("src"));
            return response.ok ? new Uint8Array(await response.arrayBuffer()) : null;
        } catch {
            return null;
        }
    }

    draw() {
        const { n } = this;
        const style = getComputedStyle(this);
        const cell = Math.max(1, Math.round(256 / n)); // so that scaling does not blur cells into each other
        this.canvases.forEach((canvas, head) => {
            canvas.width = canvas.height = n * cell;
            const context = canvas.getContext("2d");
            context.fillStyle = style.getPropertyValue("--card");
            context.fillRect(0, 0, n * cell, n * cell);
            context.fillStyle = style.getPropertyValue("--accent");
            this.bytes.subarray(head * n * n, (head + 1) * n * n).forEach((byte, place) => {
                if (!byte) return;
                context.globalAlpha = Math.sqrt(byte / 255);
                context.fillRect((place % n) * cell, Math.floor(place / n) * cell, cell, cell);
            });
        });
    }
}

customElements.define("head-thumbnails", HeadThumbnails);
