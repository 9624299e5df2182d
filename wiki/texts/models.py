"""All that is written: pages of several kinds, their revisions, and what hangs on them. Rows are changed by the
services beside this module alone, never by `save()` elsewhere."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from .append_only import AppendOnly


class Kind(models.TextChoices):
    """What a page is. The value is the word used in addresses and data."""

    SUMMARY = "summary"  # what a component does, one a component
    NOTE = "note"  # what a person says of a component
    ARTICLE = "article"  # a free page with a title
    TALK = "talk"  # a thread about a component or a page, or a reply in one


class Visibility(models.TextChoices):
    PUBLISHED = "published"
    HIDDEN = "hidden"  # by a moderator, with a reason; its author and moderators see it
    RETRACTED = "retracted"  # taken back by its author or a moderator; everybody sees it, with a mark


class Protection(models.TextChoices):
    """Who may edit a page, of those who may write."""

    WRITERS = "writers"
    REVIEWERS = "reviewers"
    MODERATORS = "moderators"


class LinkKind(models.TextChoices):
    MENTIONS = "mentions"
    EVIDENCE_FOR = "evidence-for"
    EVIDENCE_AGAINST = "evidence-against"
    SAME_ROLE_AS = "same-role-as"
    PART_OF = "part-of"
    SUPERSEDES = "supersedes"
    CONTRADICTS = "contradicts"


class TargetForm(models.TextChoices):
    """What the words of a target look like; whether there is such a thing is asked when it is shown."""

    TITLE = "title"  # a model or an article
    COMPONENT = "component"
    PERSON = "person"
    ADDRESS = "address"  # a/<id> or x/<hash>


class Tag(models.Model):
    """A word that pages are sorted by, in small letters with hyphens."""

    name = models.CharField(max_length=60, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Page(models.Model):
    """One thing that is written and rewritten. It shows its current revision."""

    kind = models.CharField(max_length=10, choices=Kind)
    title = models.CharField(max_length=200, blank=True, default="")  # empty: a summary, a note or a reply
    # The title as links name it. NULL: no article. `create_page` and `rename_article` keep it equal to the title's key.
    key = models.CharField(max_length=200, unique=True, null=True)  # noqa: DJ001 (unique, and only articles have one)
    # What a summary, a note or a thread is about; empty: a free page, or a thread about another page.
    model_slug = models.CharField(max_length=100, blank=True, default="")
    component = models.CharField(max_length=40, blank=True, default="")  # canonical; empty: the model as a whole
    # NULL: neither a thread about a page nor a reply in a thread
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="talk")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="pages")  # of the first
    # NULL only within the transaction that makes the page; `save_revision` keeps it the revision numbered `version`.
    current = models.ForeignKey("Revision", null=True, on_delete=models.PROTECT, related_name="+")
    version = models.PositiveIntegerField(default=0)  # of the newest revision; saving is compare-and-swap on it
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PUBLISHED)
    visibility_reason = models.TextField(blank=True, default="")  # why it is hidden or retracted; empty: published
    protection = models.CharField(max_length=10, choices=Protection, default=Protection.WRITERS)
    tags = models.ManyToManyField(Tag, related_name="pages")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)  # of the current revision; `save_revision` keeps it
    # Whether the current revision is about something exact: `save_revision` keeps it, for looking into the fields of
    # all revisions takes long.
    is_anchored = models.BooleanField(default=False)

    class Meta:
        ordering = ["-updated_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["model_slug", "component"], condition=Q(kind=Kind.SUMMARY), name="one_summary_a_component"
            ),
            models.CheckConstraint(condition=Q(kind=Kind.ARTICLE) ^ Q(key=None), name="articles_alone_have_keys"),
        ]
        indexes = [
            # with what says who sees them, so that they are counted without being read
            models.Index(
                fields=["model_slug", "component", "kind", "-updated_at", "-id", "visibility", "parent", "author"],
                name="recent_pages_of_a_part",
            ),
            models.Index(fields=["-id"], condition=Q(is_anchored=True), name="anchored_pages"),
            models.Index(fields=["kind", "title", "id"], name="pages_of_a_kind_by_title"),
            models.Index(fields=["kind", "-updated_at", "-id"], name="recent_pages_of_a_kind"),
            models.Index(fields=["-updated_at", "-id"], name="recent_pages"),
        ]

    def __str__(self) -> str:
        return self.title or f"{self.kind} {self.pk} about {self.about or 'a page'}"

    @property
    def about(self) -> str:
        """What it is about, as links name it: a model, a component, or nothing."""
        return "/".join(filter(None, (self.model_slug, self.component)))


class Revision(AppendOnly):
    """What a page said from one save on. Never changed, never removed."""

    page = models.ForeignKey(Page, on_delete=models.PROTECT, related_name="revisions")
    n = models.PositiveIntegerField()  # counted from 1
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="revisions")
    text = models.TextField(blank=True)
    digest = models.CharField(max_length=64)  # sha256 (hex) of the text in UTF-8
    fields = models.JSONField(default=dict)  # what else is versioned with the text, by kind
    summary = models.CharField(max_length=300, blank=True, default="")  # what the author says of the change
    # the survey that the author looked at, by hash; empty: none was named
    survey = models.CharField(max_length=64, blank=True, default="")
    # What the author saw when writing; NULL: the first. Of a revert, the revision that it went back from.
    base = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    # Names one submission of one form with this content, so that the second of two is found. NULL: not from a form.
    submission = models.CharField(max_length=64, null=True)  # noqa: DJ001 (unique where it is there)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta(AppendOnly.Meta):
        ordering = ["-n"]
        constraints = [
            models.UniqueConstraint(fields=["page", "n"], name="revisions_are_numbered"),
            models.UniqueConstraint(fields=["author", "submission"], name="one_revision_a_submission"),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="recent_revisions"),
            models.Index(fields=["author", "-created_at", "-id"], name="revisions_of_a_person"),
            models.Index(fields=["page", "-created_at", "-id"], name="recent_revisions_of_a_page"),
        ]

    def __str__(self) -> str:
        return f"revision {self.n} of page {self.page_id}"


class WithheldRevision(models.Model):
    """That one revision, never the current one, is shown to moderators alone. It stands beside what never changes."""

    revision = models.OneToOneField(Revision, on_delete=models.PROTECT, related_name="withheld")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-revision__n"]

    def __str__(self) -> str:
        return f"{self.revision} is withheld"


class Draft(models.Model):
    """What somebody typed and has not saved. Nobody else ever sees it."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="drafts")
    # the page that it changes, or the one that it would make: `page/12`, `new/note/gpt2/L5H1`, `new/article/ioi`
    target = models.CharField(max_length=320)
    page = models.ForeignKey(Page, null=True, on_delete=models.CASCADE, related_name="drafts")  # NULL: a new page
    title = models.CharField(max_length=200, blank=True, default="")
    text = models.TextField(blank=True)
    fields = models.JSONField(default=dict)
    base_version = models.PositiveIntegerField(default=0)  # of the page when the draft was begun; 0: a new page
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-updated_at"]
        constraints = [models.UniqueConstraint(fields=["owner", "target"], name="one_draft_a_target")]

    def __str__(self) -> str:
        return f"draft of {self.target}"


class Link(models.Model):
    """That the current revision of a page names something. Made of the texts: `rebuild_links` makes all anew."""

    source = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="links")
    kind = models.CharField(max_length=20, choices=LinkKind)
    form = models.CharField(max_length=10, choices=TargetForm)
    target = models.CharField(max_length=200)  # normalised by `targets`; what it names need not be there
    words = models.CharField(max_length=200)  # the target as the author spelt it, at its first place

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["source", "kind", "target"], name="one_link_a_target")]
        indexes = [
            models.Index(fields=["target", "kind", "-id"], name="links_to_a_target"),
            models.Index(fields=["target", "-id"], name="newest_links_to_a_target"),
            models.Index(fields=["form", "target"], name="wanted_targets"),
        ]

    def __str__(self) -> str:
        return f"{self.source_id} {self.kind} {self.target}"


class Watch(models.Model):
    """That somebody wants to hear of what happens to a target: a page, a component or a model."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="watches")
    target = models.CharField(max_length=200, db_index=True)  # normalised by `targets`
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["target"]
        constraints = [models.UniqueConstraint(fields=["user", "target"], name="one_watch_a_target")]

    def __str__(self) -> str:
        return f"{self.user_id} watches {self.target}"


class Alias(models.Model):
    """A title that leads to an article: the one it has, and those it had. One title never leads to two articles."""

    key = models.CharField(primary_key=True, max_length=200)
    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        ordering = ["key"]
        verbose_name_plural = "aliases"

    def __str__(self) -> str:
        return f"{self.key} is page {self.page_id}"


class TextsVersion(models.Model):
    """How often what texts say on the pages of a model was changed: pages that are kept are kept under it. Only
    `versions.bump` writes it, in the transaction of the change."""

    scope = models.CharField(primary_key=True, max_length=100)  # a model's slug, whether the model is there or not
    n = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["scope"]

    def __str__(self) -> str:
        return f"texts of {self.scope}, version {self.n}"


class AuditEntry(AppendOnly):
    """What somebody did to a page other than writing, or to a person: who, why, from what to what. Never changed,
    never removed."""

    class Action(models.TextChoices):
        HIDE = "hide"
        UNHIDE = "unhide"
        RETRACT = "retract"
        UNRETRACT = "unretract"
        PROTECT = "protect"
        RENAME = "rename"
        NAME = "name"  # one more title of an article
        TAG = "tag"
        WITHHOLD = "withhold"  # one revision
        UNWITHHOLD = "unwithhold"
        REPORT = "report"  # the page, as the next ones
        TAKE = "take"
        RESOLVE = "resolve"
        BLOCK = "block"  # a person, as the next ones
        UNBLOCK = "unblock"
        ROLE = "role"

    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="audit_entries")
    # NULL: of a person
    page = models.ForeignKey(Page, null=True, on_delete=models.PROTECT, related_name="audit_entries")
    # NULL: of a page
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    action = models.CharField(max_length=10, choices=Action)
    before = models.TextField(blank=True)
    after = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta(AppendOnly.Meta):
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        constraints = [
            models.CheckConstraint(condition=Q(page=None) ^ Q(person=None), name="audit_of_a_page_or_a_person")
        ]
        # lists of recent changes have them, of all that the log has
        indexes = [models.Index(fields=["action", "-created_at", "-id"], name="recent_of_an_action")]

    def __str__(self) -> str:
        return f"{self.action} of page {self.page_id}" if self.page_id else f"{self.action} of {self.person_id}"
