/** The token that forms are sent with now: signing in, in another tab too, makes that of an open form invalid. */
export function token(form) {
    const kept = document.cookie.match(/(?:^|;\s*)csrftoken=(\w+)/);
    return kept ? kept[1] : form.elements.csrfmiddlewaretoken.value;
}

/** Have a form sent with the token of the time when it is sent. */
export function keepToken(form) {
    form.addEventListener("formdata", ({ formData }) => formData.set("csrfmiddlewaretoken", token(form)));
}
