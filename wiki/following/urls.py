"""Addresses of recent changes, of what one watches, and of notifications."""

from django.urls import path

from .views import changes, notices, watching

urlpatterns = [
    path("recent/", changes.recent, name="recent"),
    path("recent.json", changes.recent_json, name="recent-json"),
    path("recent.atom", changes.recent_atom, name="recent-atom"),
    path("watch/", watching.set_watch, name="watch"),
    path("watching/", watching.watching, name="watching"),
    path("watching.json", watching.watching_json, name="watching-json"),
    path("notifications/", notices.notifications, name="notifications"),
    path("notifications.json", notices.notifications_json, name="notifications-json"),
    path("notifications/read/", notices.read, name="read-notifications"),
    path("notifications/<int:pk>/", notices.notification, name="notification"),
    # under /accounts/, which is open on sites that are otherwise for who is signed in
    path("accounts/notifications/", notices.settings_page, name="notification-settings"),
    path("accounts/unsubscribe/<str:token>/", notices.unsubscribe, name="unsubscribe"),
]
