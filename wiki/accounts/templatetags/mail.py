"""Whether e-mails leave this site."""

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def mail_is_written_to_files() -> bool:
    """Whether no mail server is set, so that messages are files in the data folder."""
    return not settings.EMAIL_URL
