/* Arrow keys, Home and End move between the heads of a model's map; the whole map is one tab stop. */
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

class ComponentMap extends HTMLElement {
    connectedCallback() {
        this.cells = [...this.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll("td a")]);
        this.cells.flat().forEach((cell, index) => cell.setAttribute("tabindex", index === 0 ? "0" : "-1"));
        this.addEventListener("keydown", (event) => this.move(event));
        this.setAttribute("ready", "");
    }

    move(event) {
        const row = this.cells.findIndex((cells) => cells.includes(event.target));
        if (row < 0 || event.metaKey || event.altKey) return;
        const next = this.next(event, row, this.cells[row].indexOf(event.target));
        if (next === null) return;
        event.preventDefault();
        if (!next) return;
        event.target.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
    }

    /* The head that a key leads to, undefined at the edge; null for other keys. Home and End go to the ends of the
       layer, with Ctrl to the first and the last head of the model. */
    next(event, row, column) {
        const line = event.ctrlKey ? this.cells.flat() : this.cells[row];
        if (event.key === "Home") return line[0];
        if (event.key === "End") return line.at(-1);
        const step = STEPS[event.key];
        if (!step || event.ctrlKey) return null;
        return this.cells[row + step[0]]?.[column + step[1]];
    }
}

customElements.define("component-map", ComponentMap);
