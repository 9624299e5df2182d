from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person who writes here. Our own class from the first migration, so that it can grow."""
