"""What services of texts refuse. Each message is for the person who writes."""

from __future__ import annotations

from .models import Page, Revision


class TextError(Exception):
    """Something that cannot be saved as it is. The form answers with `status` and `headers`, and what was typed."""

    status = 400

    @property
    def headers(self) -> dict[str, str]:
        return {}


class WriterBlocked(TextError):  # noqa: N818 (it says what is the matter)
    """Who writes reads alone for a time; the message says until when and why."""

    status = 403


class TooManyWrites(TextError):  # noqa: N818 (it says what is the matter)
    """Who writes has written as much as an account of that age may; `seconds` later it may again."""

    status = 429

    def __init__(self, message: str, *, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.seconds)}


class AlreadyThere(TextError):  # noqa: N818 (it says what is the matter)
    """Another page has this title, or this component has its summary already: `page`."""

    def __init__(self, message: str, *, page: Page) -> None:
        super().__init__(message)
        self.page = page


class NotChosen(TextError):  # noqa: N818 (it says what is the matter)
    """Of lines that both changed nobody said which to keep, so nothing was put together."""

    def __init__(self, *, base: Revision, theirs: Revision, yours: str, n_open: int) -> None:
        super().__init__(
            "Putting both together: expected yours, theirs or both for every place that both changed, "
            f"got nothing for {n_open} of them."
        )
        self.base, self.theirs, self.yours = base, theirs, yours


class EditConflict(TextError):  # noqa: N818 (what wikis call it)
    """The page was saved by somebody else since `base`, which the author saw; nothing was changed. `merge` helps."""

    status = 409

    def __init__(self, *, base: Revision, theirs: Revision, yours: str) -> None:
        super().__init__(
            f"Saving {theirs.page}: expected revision {base.n} to be the newest, got revision {theirs.n} by "
            f"{theirs.author.get_username()}."
        )
        self.base, self.theirs, self.yours = base, theirs, yours
