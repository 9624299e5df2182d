/* Pictures of attention patterns in texts become patterns to explore, as soon as they come near the window. Without this
   script, or where the site does not answer, the picture stays. */
import "./attention-pattern.js";

async function enliven(figure) {
    const response = await fetch(figure.dataset.live).catch(() => null);
    if (!response?.ok) return;
    const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
    const pattern = parsed.querySelector("attention-pattern");
    const page = new URL(figure.querySelector("figcaption a.embed").href);
    for (const token of pattern.querySelectorAll("a.token")) token.href = new URL(token.getAttribute("href"), page);
    figure.querySelector("img").replaceWith(pattern);
}

const near = new IntersectionObserver(
    (entries) => {
        for (const { isIntersecting, target } of entries) {
            if (!isIntersecting) continue;
            near.unobserve(target);
            enliven(target);
        }
    },
    { rootMargin: "300px" },
);

export function enlivenEmbeds(root) {
    for (const figure of root.querySelectorAll("figure.embed[data-live]")) near.observe(figure);
}

enlivenEmbeds(document);
