/* Arrow keys move between the heads of a model's map; the whole map is one tab stop. */
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

class ComponentMap extends HTMLElement {
    connectedCallback() {
        this.cells = [...this.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll("td a")]);
        this.cells.flat().forEach((cell, index) => cell.setAttribute("tabindex", index === 0 ? "0" : "-1"));
        this.addEventListener("keydown", (event) => this.move(event));
    }

    move(event) {
        const step = STEPS[event.key];
        const row = this.cells.findIndex((cells) => cells.includes(event.target));
        if (!step || row < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
        const column = this.cells[row].indexOf(event.target);
        const next = this.cells[row + step[0]]?.[column + step[1]];
        event.preventDefault();
        if (!next) return;
        event.target.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
    }
}

customElements.define("component-map", ComponentMap);
