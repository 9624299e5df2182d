/* New figures have landed: load the page anew, unless somebody is in the middle of something on it. */
function busy() {
    const typed = [...document.querySelectorAll("input[name=q]")].some((input) => input.value !== input.defaultValue);
    const focused = document.activeElement !== null && document.activeElement !== document.body;
    return typed || focused || document.querySelector("main details[open]") !== null;
}

document.body.addEventListener("landed", () => {
    if (!busy()) location.reload();
});
