/* Left, Right, Home and End move between the layers of the curves; all of them are one tab stop. */
const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

class LayerCurves extends HTMLElement {
    connectedCallback() {
        this.layers = [...this.querySelectorAll("svg a")];
        this.layers.forEach((layer, index) => layer.setAttribute("tabindex", index === 0 ? "0" : "-1"));
        this.addEventListener("keydown", (event) => this.move(event));
        this.setAttribute("ready", "");
    }

    move(event) {
        const index = this.layers.indexOf(event.target);
        const ends = { Home: 0, End: this.layers.length - 1 };
        const next = this.layers[ends[event.key] ?? index + STEPS[event.key]];
        if (index < 0 || !(event.key in ends || event.key in STEPS)) return;
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        if (!next) return;
        event.target.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
    }
}

customElements.define("layer-curves", LayerCurves);
