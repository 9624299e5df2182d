/* Two metrics of all heads, drawn by plotly when the plot comes into view; a point is a way to its head.

   plotly is half a megabyte, so nothing of it is loaded before. Its CSS is a file of ours: it would write a <style>
   element, which the security policy refuses. Colours are the page's, also when they change. */
const CONFIGURATION = { displayModeBar: false, responsive: true };

let loading = null;

function added(tag, attributes) {
    return new Promise((resolve, reject) => {
        const element = Object.assign(document.createElement(tag), attributes);
        element.addEventListener("load", resolve);
        element.addEventListener("error", () => reject(new Error(`${tag} was not loaded`)));
        document.head.append(element);
    });
}

async function load(script, styles) {
    // plotly looks for this id and class when it starts
    await added("link", { id: "plotly.js-style-global", className: "no-inline-styles", rel: "stylesheet", href: styles });
    await added("script", { src: script });
}

function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

class MetricScatter extends HTMLElement {
    connectedCallback() {
        this.plot = this.part("plot");
        this.chosen = null; // the place, in order of x, of the point that the keyboard is at
        this.watcher = new IntersectionObserver((entries) => {
            if (entries.some((entry) => entry.isIntersecting)) this.begin();
        });
        this.watcher.observe(this);
    }

    disconnectedCallback() {
        this.watcher.disconnect();
    }

    part(name) {
        return this.querySelector(`[data-part=${name}]`);
    }

    async begin() {
        this.watcher.disconnect();
        this.part("state").textContent = "Loading the drawing…";
        try {
            loading ??= load(this.getAttribute("plotly"), this.getAttribute("styles"));
            const [response] = await Promise.all([fetch(this.getAttribute("src")), loading]);
            if (!response.ok) throw new Error(`${response.status}`);
            this.figure = await response.json();
            await this.draw();
        } catch (error) {
            loading = null;
            this.part("state").textContent = `The drawing could not be loaded (${error.message}); the table has its numbers.`;
            return;
        }
        this.part("state").textContent = "";
        this.listen();
        this.setAttribute("ready", "");
    }

    draw() {
        const [trace] = this.figure.data;
        const line = { gridcolor: colour("--line"), zerolinecolor: colour("--edge"), linecolor: colour("--edge") };
        const errors = Object.fromEntries(
            ["error_x", "error_y"]
                .filter((name) => name in trace)
                .map((name) => [name, { ...trace[name], color: colour("--edge") }]),
        );
        const { xaxis, yaxis } = this.figure.layout;
        const layout = {
            xaxis: { ...xaxis, ...line },
            yaxis: { ...yaxis, ...line },
            margin: { l: 56, r: 12, t: 12, b: 48 },
            paper_bgcolor: "rgba(0,0,0,0)",
            plot_bgcolor: "rgba(0,0,0,0)",
            font: { family: getComputedStyle(this).fontFamily, color: colour("--ink"), size: 12 },
            hoverlabel: { bgcolor: colour("--card"), font: { color: colour("--ink") } },
            hovermode: "closest",
            dragmode: false,
        };
        const marker = { size: 7, color: colour("--accent"), opacity: 0.75 };
        this.order = trace.x.map((_, index) => index).sort((a, b) => trace.x[a] - trace.x[b]);
        return Plotly.react(this.plot, [{ ...trace, ...errors, marker }], layout, CONFIGURATION);
    }

    listen() {
        this.plot.on("plotly_click", (event) => this.go(event.points[0].pointNumber));
        this.plot.addEventListener("keydown", (event) => this.move(event));
        this.plot.addEventListener("blur", () => this.leave());
        matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    }

    go(point) {
        location.assign(this.figure.data[0].customdata[point]);
    }

    move(event) {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const last = this.order.length - 1;
        const at = this.chosen ?? -1;
        const next = { ArrowLeft: Math.max(at - 1, 0), ArrowRight: Math.min(at + 1, last), Home: 0, End: last }[event.key];
        if (next !== undefined) this.choose(next);
        else if (event.key === "Enter" && this.chosen !== null) this.go(this.order[this.chosen]);
        else if (event.key === "Escape") this.leave();
        else return;
        event.preventDefault();
    }

    choose(place) {
        this.chosen = place;
        const [trace] = this.figure.data;
        const point = this.order[place];
        Plotly.Fx.hover(this.plot, [{ curveNumber: 0, pointNumber: point }]);
        const { xaxis, yaxis } = this.figure.layout;
        this.part("announcement").textContent =
            `${trace.text[point]}: ${xaxis.title.text} ${trace.x[point].toFixed(2)}, ` +
            `${yaxis.title.text} ${trace.y[point].toFixed(2)}`;
    }

    leave() {
        this.chosen = null;
        Plotly.Fx.unhover(this.plot);
        this.part("announcement").textContent = "";
    }
}

customElements.define("metric-scatter", MetricScatter);
