import { token } from "./form-token.js";

/* The form of a hypothesis and its YAML, kept in step while either is typed in: the page that the form would be answered
   with is fetched, and what of it says more is taken over. What is being typed in is left alone. */
const PAUSE = 400; // milliseconds after the last key

class HypothesisBuilder extends HTMLElement {
    connectedCallback() {
        this.form = this.querySelector("form");
        this.asked = 0;
        this.form.addEventListener("input", (event) => this.wait(event.target.name === "yaml" ? "yaml" : "form"));
        this.form.addEventListener("submit", (event) => {
            const pressed = event.submitter?.value ?? "check";
            clearTimeout(this.timer);
            if (pressed === "run") {
                this.form.elements.csrfmiddlewaretoken.value = token(this.form);
                return;
            }
            event.preventDefault();
            if (pressed === "check") this.check("look", "").then(() => this.querySelector("#verdict").scrollIntoView({ block: "nearest" }));
            else this.check(pressed, "");
        });
        this.setAttribute("ready", "");
    }

    wait(typedIn) {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.check("look", typedIn), PAUSE);
    }

    /** Ask what the form says now. `typedIn` names the pane that stays as it is. */
    async check(pressed, typedIn) {
        const asked = ++this.asked;
        const sent = new FormData(this.form);
        sent.set("do", pressed);
        sent.set("csrfmiddlewaretoken", token(this.form));
        let answer;
        try {
            const response = await fetch(this.form.action, { method: "POST", body: sent });
            answer = new DOMParser().parseFromString(await response.text(), "text/html");
        } catch {
            answer = null;
        }
        if (asked !== this.asked) return; // typed on meanwhile: the next answer counts
        if (!answer?.querySelector("hypothesis-builder form")) {
            this.say("It could not be checked: the site did not answer. What you typed is still here.");
            return;
        }
        this.take(answer, typedIn);
    }

    say(sentence) {
        const line = document.createElement("p");
        line.className = "error";
        line.textContent = sentence;
        this.querySelector("#verdict").replaceChildren(line);
    }

    take(answer, typedIn) {
        for (const id of ["verdict", "tree", "lists", "vocabulary"]) {
            const old = this.querySelector(`#${id}`);
            const open = [...old.querySelectorAll("details")].map((details) => details.open);
            old.replaceChildren(...answer.getElementById(id).childNodes);
            old.querySelectorAll("details").forEach((details, at) => { details.open = open[at] ?? false; });
        }
        if (typedIn !== "yaml") this.form.elements.yaml.value = answer.getElementById("yaml").value;
        if (typedIn === "form") this.takeProblems(answer);
        else this.takeForm(answer);
        const theirs = answer.querySelector("hypothesis-builder form").elements;
        for (const name of ["seen_form", "seen_text", "shows_all", "n_nodes"]) {
            this.form.elements[name].value = theirs[name].value;
        }
    }

    /** What is wrong of each node, beside fields that stay. */
    takeProblems(answer) {
        for (const old of this.querySelectorAll(".of-node")) {
            const problems = answer.getElementById(old.id);
            if (!problems) continue;
            old.replaceChildren(...problems.childNodes);
            old.closest("fieldset").classList.toggle("wrong", Boolean(old.children.length));
        }
    }

    takeForm(answer) {
        const focused = document.activeElement?.name;
        const pane = this.querySelector("#form-pane");
        const theirs = answer.getElementById("form-pane");
        pane.replaceChildren(...theirs.childNodes);
        const again = focused && this.form.elements[focused];
        if (again instanceof HTMLElement && pane.contains(again) && again.tagName !== "BUTTON") again.focus();
    }
}

customElements.define("hypothesis-builder", HypothesisBuilder);
