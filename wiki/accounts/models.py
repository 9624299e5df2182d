"""People, what they may do, whom they are independent of, and who asked them in."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.db import models
from django.utils import timezone

from wiki.lib.named import address


class Role(models.IntegerChoices):
    """What a person may do here; each role may all that the ones before it may."""

    READER = 1, "reader"
    RESEARCHER = 2, "researcher"
    REVIEWER = 3, "reviewer"
    MODERATOR = 4, "moderator"
    ADMIN = 5, "admin"


class UserManager(DjangoUserManager["User"]):
    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **fields: Any
    ) -> User:
        """An admin. Whoever may run this command on the site's machine vouches for the e-mail address."""
        from allauth.account.models import EmailAddress  # noqa: PLC0415 (it names this model's class)

        user = super().create_superuser(username, email, password, **({"role": Role.ADMIN} | fields))
        if user.email:
            EmailAddress.objects.create(user=user, email=user.email.lower(), verified=True, primary=True)
        return user


class User(AbstractUser):
    """A person who reads and writes here."""

    # Django's is_staff and is_superuser follow from it: wiki.accounts.roles keeps them true.
    role = models.PositiveSmallIntegerField(choices=Role.choices, default=Role.READER)
    # What the profile shows beside the username; empty: nothing.
    shown_name = models.CharField(max_length=100, blank=True, default="")
    # Made by `make run` with a password that it prints: signs in where LOUPE_DEMO is set, from loopback alone.
    is_demo = models.BooleanField(default=False)
    # Reads and does not write until then; NULL: never blocked, or freed. wiki.moderation.blocking sets both.
    blocked_until = models.DateTimeField(null=True)
    blocked_because = models.TextField(blank=True, default="")  # said to the person; empty where NULL stands above

    objects: ClassVar[UserManager] = UserManager()

    def has_role(self, role: Role) -> bool:
        """Whether the person may all that this role may."""
        return self.is_active and self.role >= role

    @property
    def is_blocked(self) -> bool:
        return self.blocked_until is not None and self.blocked_until > timezone.now()

    def get_absolute_url(self) -> str:
        return address("person", self.username)


class ResearchGroup(models.Model):
    """People who work together. It only establishes who is independent of whom: nothing published is a group's own."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=100, unique=True)
    # Adds and removes members, and is always one.
    lead = models.ForeignKey(User, on_delete=models.PROTECT, related_name="led_groups")
    members = models.ManyToManyField(
        User, through="Membership", through_fields=("group", "person"), related_name="research_groups"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return address("research-group", self.slug)


class Membership(models.Model):
    """That somebody is in a group now; who left has none."""

    group = models.ForeignKey(ResearchGroup, on_delete=models.CASCADE, related_name="memberships")
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    added_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["person__username"]
        constraints = [models.UniqueConstraint(fields=["group", "person"], name="once_in_a_group")]

    def __str__(self) -> str:
        return f"{self.person} in {self.group}"


class Invitation(models.Model):
    """That one person may sign up, once. The token is shown or sent when it is made and not kept."""

    token_sha256 = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="invitations")
    # Empty: whoever has the link. Otherwise the address that the account must have.
    email = models.EmailField(blank=True, default="")
    role = models.PositiveSmallIntegerField(
        choices=[(role.value, role.label) for role in (Role.READER, Role.RESEARCHER)], default=Role.RESEARCHER
    )
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    # NULL until somebody signed up by it; both are set at once.
    used_by = models.OneToOneField(User, null=True, on_delete=models.PROTECT, related_name="invitation")
    used_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(used_by=None, used_at=None) | models.Q(used_by__isnull=False, used_at__isnull=False),
                name="used_by_somebody_at_some_time",
            )
        ]

    def __str__(self) -> str:
        return f"invitation by {self.invited_by}"

    @property
    def state(self) -> str:
        """“used”, “expired” or “open”."""
        if self.used_at:
            return "used"
        return "expired" if self.expires_at <= timezone.now() else "open"


class AccessKey(models.Model):
    """By which a notebook acts for a person. The secret is shown when it is made and not kept; who takes a key back
    removes it."""

    secret_sha256 = models.CharField(max_length=64, unique=True)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="access_keys")
    name = models.CharField(max_length=100)  # for its owner, who may have several
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)  # for the last time; NULL: never

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"access key of {self.owner}"

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()
