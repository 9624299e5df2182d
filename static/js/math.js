/* Formulas, written as TeX in the text of .math elements, become MathML. No style attribute is ever made: the site's policy
   refuses them. A formula that cannot be read stays as it was typed and says why. */
const OPTIONS = { output: "mathml", trust: false, strict: false, maxExpand: 200, maxSize: 20, throwOnError: true };

/* KaTeX gives text that is parsed in a document of its own, where boxes lose the styles that the policy would refuse. */
function typeset(katex, tex, displayMode) {
    const markup = katex.renderToString(tex, { ...OPTIONS, displayMode });
    const parsed = new DOMParser().parseFromString(markup.replaceAll(/ style="[^"]*"/g, ""), "text/html");
    return parsed.querySelector("math");
}

export async function typesetMaths(root) {
    const formulas = [...root.querySelectorAll(".math:not([data-typeset])")];
    if (formulas.length === 0) return;
    await import("../vendor/katex/katex-0.19.1.min.js");
    for (const formula of formulas) {
        formula.dataset.typeset = "";
        try {
            formula.replaceChildren(typeset(window.katex, formula.textContent, formula.classList.contains("block")));
        } catch (error) {
            formula.classList.add("failed");
            formula.title = error.message;
        }
    }
}

typesetMaths(document);
document.body.addEventListener("htmx:afterSwap", (event) => typesetMaths(event.target));
