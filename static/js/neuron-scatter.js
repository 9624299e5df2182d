/* Two metrics of all neurons of a layer against each other, from float32 [metric, neuron]. Names the neuron under the
   pointer, or chosen with arrow keys (left and right go along the x axis), and opens its page. */
const MARGIN = 8; // in pixels, so that dots at the ends are whole
const NEAR = 14;
const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -50, PageUp: 50 };

class NeuronScatter extends HTMLElement {
    async connectedCallback() {
        this.canvas = this.querySelector("canvas");
        this.said = this.querySelector("[data-part=said]");
        const n = Number(this.getAttribute("neurons"));
        const values = await this.load();
        if (!values) {
            this.said.textContent = "The points could not be loaded; the table has them.";
            return;
        }
        const metric = (name) => values.subarray(Number(this.getAttribute(name)) * n, (Number(this.getAttribute(name)) + 1) * n);
        [this.x, this.y] = [metric("x"), metric("y")];
        this.chosen = this.matching(n, this.hasAttribute("where") ? metric("where") : null);
        const known = Array.from({ length: n }, (_, i) => i).filter((i) => Number.isFinite(this.x[i]) && Number.isFinite(this.y[i]));
        this.order = known.sort((one, other) => this.x[one] - this.x[other] || one - other);
        this.places = {
            x: this.scale(this.x, this.hasAttribute("x-logarithmic")),
            y: this.scale(this.y, this.hasAttribute("y-logarithmic")),
        };
        this.shown = null;
        this.listen();
        this.redraw();
        this.setAttribute("ready", "");
    }

    disconnectedCallback() {
        this.sizes?.disconnect();
        this.scheme?.removeEventListener("change", this.redraw);
    }

    async load() {
        try {
            const response = await fetch(this.getAttribute("src"));
            return response.ok ? new Float32Array(await response.arrayBuffer()) : null;
        } catch {
            return null;
        }
    }

    /** Whether the table's filter keeps each neuron. */
    matching(n, values) {
        const low = this.getAttribute("low") ? Number(this.getAttribute("low")) : -Infinity;
        const high = this.getAttribute("high") ? Number(this.getAttribute("high")) : Infinity;
        return Array.from({ length: n }, (_, i) => !values || (values[i] >= low && values[i] <= high));
    }

    /** From a value to its place, 0 to 1. */
    scale(values, logarithmic) {
        const change = logarithmic ? Math.log : (value) => value;
        const ends = this.order.map((i) => change(values[i]));
        const low = ends.reduce((one, other) => Math.min(one, other), Infinity);
        const high = ends.reduce((one, other) => Math.max(one, other), -Infinity);
        return (value) => (low === high ? 0.5 : (change(value) - low) / (high - low));
    }

    listen() {
        this.canvas.addEventListener("pointermove", (event) => this.show(this.nearest(event)));
        this.canvas.addEventListener("pointerleave", () => this.show(null));
        this.canvas.addEventListener("click", (event) => {
            const neuron = this.nearest(event);
            if (neuron !== null) location.href = this.address(neuron);
        });
        this.canvas.addEventListener("keydown", (event) => this.onKey(event));
        this.redraw = () => {
            this.layOut();
            this.draw();
        };
        this.sizes = new ResizeObserver(this.redraw);
        this.sizes.observe(this.canvas);
        this.scheme = matchMedia("(prefers-color-scheme: dark)");
        this.scheme.addEventListener("change", this.redraw);
    }

    onKey(event) {
        if (event.ctrlKey || event.metaKey || event.altKey || !this.order.length) return;
        const last = this.order.length - 1;
        const place = this.shown === null ? -1 : this.order.indexOf(this.shown);
        const to = { Home: 0, End: last }[event.key] ?? place + (STEPS[event.key] ?? NaN);
        if (event.key === "Enter" && this.shown !== null) location.href = this.address(this.shown);
        else if (event.key === "Escape") this.show(null);
        else if (!Number.isNaN(to)) {
            event.preventDefault();
            this.show(this.order[Math.min(last, Math.max(0, to))]);
        }
    }

    address(neuron) {
        return `${this.getAttribute("page").slice(0, -1)}N${neuron}/${location.search.includes("survey=") ? this.survey() : ""}`;
    }

    survey() {
        return `?${new URLSearchParams({ survey: new URLSearchParams(location.search).get("survey") })}`;
    }

    /** Where each neuron of the order is on the canvas as it is now, in pixels. */
    layOut() {
        const { clientWidth: width, clientHeight: height } = this.canvas;
        this.dots = this.order.map((neuron) => [
            MARGIN + this.places.x(this.x[neuron]) * (width - 2 * MARGIN),
            height - MARGIN - this.places.y(this.y[neuron]) * (height - 2 * MARGIN),
        ]);
    }

    /** The neuron nearest to the pointer, or nothing where none is near. */
    nearest(event) {
        const box = this.canvas.getBoundingClientRect();
        const [x, y] = [event.clientX - box.left, event.clientY - box.top];
        let [best, distance] = [null, NEAR ** 2];
        this.dots.forEach(([there, up], place) => {
            const apart = (there - x) ** 2 + (up - y) ** 2;
            if (apart < distance) [best, distance] = [this.order[place], apart];
        });
        return best;
    }

    show(neuron) {
        if (neuron === this.shown) return;
        this.shown = neuron;
        this.draw();
        if (neuron === null) {
            this.said.textContent = "";
            return;
        }
        const link = document.createElement("a");
        link.href = this.address(neuron);
        link.textContent = new URL(link.href).pathname.split("/").at(-2);
        const [across, up] = [".axis.across", ".axis.up"].map((axis) => this.querySelector(`${axis} :nth-child(2)`).textContent);
        this.said.replaceChildren(link, `: ${across} ${this.text(this.x[neuron])}, ${up} ${this.text(this.y[neuron])}`);
    }

    text(value) {
        return Number(value.toPrecision(3)).toString();
    }

    draw() {
        const ratio = devicePixelRatio || 1;
        const { canvas } = this;
        canvas.width = Math.round(canvas.clientWidth * ratio);
        canvas.height = Math.round(canvas.clientHeight * ratio);
        const context = canvas.getContext("2d");
        const style = getComputedStyle(this);
        context.scale(ratio, ratio);
        context.fillStyle = style.getPropertyValue("--accent");
        this.dots.forEach(([x, y], place) => {
            context.globalAlpha = this.chosen[this.order[place]] ? 0.55 : 0.12;
            context.fillRect(x - 1.5, y - 1.5, 3, 3);
        });
        if (this.shown === null) return;
        const [x, y] = this.dots[this.order.indexOf(this.shown)];
        context.globalAlpha = 1;
        context.strokeStyle = style.getPropertyValue("--here");
        context.lineWidth = 2;
        context.beginPath();
        context.arc(x, y, 6, 0, 2 * Math.PI);
        context.stroke();
    }
}

customElements.define("neuron-scatter", NeuronScatter);
