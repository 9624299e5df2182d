"""For `moderation/_actions.html`."""

from django import template

from wiki.texts.access import may_moderate

register = template.Library()
register.filter("may_moderate", may_moderate)
