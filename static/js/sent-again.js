/* What was sent after a session ended, to be sent again once one has signed in in another tab. */
import { keepToken } from "./form-token.js";

keepToken(document.querySelector("form.sent-again"));
