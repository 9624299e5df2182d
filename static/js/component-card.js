/* A small card beside links to components in texts: shown under the pointer and on focus, gone with either or with Esc. A
   finger gets none: it follows the link. */
const COMPONENT = /^\/m\/[a-z0-9.-]+\/L\d+(?:(?:H|N|KV)\d+)?\/$/;
const WAIT = 250; // milliseconds that a pointer rests before a card comes, and that it may be away before it goes
const EDGE = 8; // pixels between card and window

const fragments = new Map();
let card = null;
let owner = null;
let timer = 0;

function linkAt(target) {
    const link = target.closest?.("a[href]");
    if (!link?.closest(".text, .preview, .passages, .note") || link.closest(".meta, .anchored")) return null;
    return link.origin === location.origin && COMPONENT.test(link.pathname) ? link : null;
}

function fragment(link) {
    const address = `${link.pathname}card/`;
    if (!fragments.has(address)) {
        const asked = fetch(address).then((response) => (response.ok ? response.text() : null), () => null);
        fragments.set(address, asked);
    }
    return fragments.get(address);
}

function hide() {
    clearTimeout(timer);
    owner?.removeAttribute("aria-describedby");
    card?.remove();
    card = owner = null;
}

function later(action) {
    clearTimeout(timer);
    timer = setTimeout(action, WAIT);
}

async function show(link) {
    if (owner === link) return;
    hide();
    owner = link;
    const markup = await fragment(link);
    if (owner !== link || markup === null) return;
    card = document.createElement("div");
    card.id = "component-card";
    card.className = "component-card";
    card.setAttribute("role", "tooltip");
    card.append(...new DOMParser().parseFromString(markup, "text/html").body.childNodes);
    card.addEventListener("pointerenter", () => clearTimeout(timer));
    card.addEventListener("pointerleave", () => later(hide));
    document.body.append(card);
    link.setAttribute("aria-describedby", card.id);
    place(link);
}

/** Below the link, or above it where there is no room; inside the window. */
function place(link) {
    const box = link.getClientRects()[0] ?? link.getBoundingClientRect();
    const { width, height } = card.getBoundingClientRect();
    const below = box.bottom + EDGE;
    const top = below + height > innerHeight && box.top - EDGE - height > 0 ? box.top - EDGE - height : below;
    const left = Math.max(EDGE, Math.min(box.left, document.documentElement.clientWidth - width - EDGE));
    card.style.top = `${top + scrollY}px`;
    card.style.left = `${left + scrollX}px`;
}

document.addEventListener("pointerover", (event) => {
    const link = event.pointerType === "touch" ? null : linkAt(event.target);
    if (link) later(() => show(link));
});
document.addEventListener("pointerout", (event) => {
    if (linkAt(event.target)) later(hide);
});
document.addEventListener("focusin", (event) => {
    const link = linkAt(event.target);
    if (link?.matches(":focus-visible")) show(link);
});
document.addEventListener("focusout", (event) => {
    if (linkAt(event.target)) hide();
});
document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
});
