/* Formulas, written as TeX in the text of .math elements, become MathML. No style attribute is ever made: the site's policy
   refuses them. A formula that cannot be read stays as it was typed and says why. */
const OPTIONS = { output: "mathml", trust: false, strict: false, maxExpand: 200, maxSize: 20, throwOnError: true };

/* Browsers know no letters of other styles in MathML but italic ones: each is a character of its own. Where the styles of
   Unicode begin, for A, a and 0; and the letters that had a place before them. */
const STYLES = {
    bold: [0x1d400, 0x1d41a, 0x1d7ce],
    italic: [0x1d434, 0x1d44e],
    "bold-italic": [0x1d468, 0x1d482],
    script: [0x1d49c, 0x1d4b6],
    fraktur: [0x1d504, 0x1d51e],
    "double-struck": [0x1d538, 0x1d552, 0x1d7d8],
    "sans-serif": [0x1d5a0, 0x1d5ba, 0x1d7e2],
    monospace: [0x1d670, 0x1d68a, 0x1d7f6],
};
const EARLIER = {
    italic: { h: "ℎ" },
    script: { B: "ℬ", E: "ℰ", F: "ℱ", H: "ℋ", I: "ℐ", L: "ℒ", M: "ℳ", R: "ℛ", e: "ℯ", g: "ℊ", o: "ℴ" },
    fraktur: { C: "ℭ", H: "ℌ", I: "ℑ", R: "ℜ", Z: "ℨ" },
    "double-struck": { C: "ℂ", H: "ℍ", N: "ℕ", P: "ℙ", Q: "ℚ", R: "ℝ", Z: "ℤ" },
};

function styled(letter, style) {
    const [upper, lower, digit] = STYLES[style];
    const from = { A: upper, a: lower, 0: digit };
    for (const [first, last] of ["AZ", "az", "09"]) {
        if (letter < first || letter > last || !from[first]) continue;
        return EARLIER[style]?.[letter] ?? String.fromCodePoint(from[first] + letter.charCodeAt(0) - first.charCodeAt(0));
    }
    return letter;
}

function spellStyles(math) {
    for (const element of math.querySelectorAll("[mathvariant]")) {
        const style = element.getAttribute("mathvariant");
        if (!STYLES[style] || element.children.length) continue;
        element.textContent = Array.from(element.textContent, (letter) => styled(letter, style)).join("");
        element.removeAttribute("mathvariant");
    }
}

/* KaTeX gives text that is parsed in a document of its own, where boxes lose the styles that the policy would refuse. */
function typeset(katex, tex, displayMode) {
    const markup = katex.renderToString(tex, { ...OPTIONS, displayMode });
    const parsed = new DOMParser().parseFromString(markup.replaceAll(/ style="[^"]*"/g, ""), "text/html");
    const math = parsed.querySelector("math");
    spellStyles(math);
    return math;
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
