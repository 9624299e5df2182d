"""What apps above this one hear of, within the transaction that does it: what they fail to do undoes it."""

from __future__ import annotations

from django.dispatch import Signal

# A page has a new revision, and its links are those of it: `page`, `revision`.
revision_saved = Signal()
# An article has another title: `page`, and `entry` of the audit log.
article_renamed = Signal()
# A page is hidden, taken back or published again: `page`, `before`, its visibility until then, and `entry` of the audit
# log.
visibility_changed = Signal()
# A report of a page is answered: `entry` of the audit log, `reporter`, and `address`, where they read the answer.
report_answered = Signal()
# A page has other tags: `page`.
page_tagged = Signal()
