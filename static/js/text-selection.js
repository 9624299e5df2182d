/* <text-selection note="/write/note/?anchor=span&page=12"> around a text: who selects a passage is offered a link to write
   a note on it. The passage goes as it is read, with what stands before it, so that the site finds the place. */
const BEFORE = 60;
const LONGEST = 1000;

class TextSelection extends HTMLElement {
    connectedCallback() {
        this.onSelection = () => this.offer();
        document.addEventListener("selectionchange", this.onSelection);
    }

    disconnectedCallback() {
        document.removeEventListener("selectionchange", this.onSelection);
    }

    offer() {
        const selection = document.getSelection();
        const quote = selection.toString().replace(/\s+/g, " ").trim();
        const range = selection.rangeCount && selection.getRangeAt(0);
        const text = this.querySelector("[data-passages]");
        if (!range || !quote || quote.length > LONGEST || !text.contains(range.commonAncestorContainer)) {
            if (this.link && !this.link.contains(document.activeElement)) this.link.hidden = true;
            return;
        }
        const before = document.createRange();
        before.selectNodeContents(text);
        before.setEnd(range.startContainer, range.startOffset);
        const read = before.toString().replace(/\s+/g, " ");
        const url = new URL(this.getAttribute("note"), location.href);
        url.searchParams.set("quote", quote);
        url.searchParams.set("prefix", read.slice(-BEFORE));
        url.searchParams.set("start", read.length);
        this.show(url, range.getBoundingClientRect());
    }

    show(url, box) {
        if (!this.link) {
            this.link = document.createElement("a");
            this.link.className = "offer";
            this.link.textContent = "note on this passage";
            this.append(this.link);
        }
        const own = this.getBoundingClientRect();
        this.link.href = url;
        this.link.hidden = false;
        // the policy of the site refuses style attributes in markup; properties that a script sets are allowed
        this.link.style.top = `${box.bottom - own.top + 6}px`;
        this.link.style.left = `${Math.max(0, Math.min(box.left - own.left, own.width - 180))}px`;
    }
}

customElements.define("text-selection", TextSelection);
