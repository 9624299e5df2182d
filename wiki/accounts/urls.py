"""Addresses of accounts: ours, and django-allauth's under /accounts/."""

from django.urls import include, path

from .views import access_keys, groups, invitations, people

urlpatterns = [
    path("accounts/settings/", people.settings_page, name="settings"),
    path("accounts/keys/", access_keys.access_keys, name="access-keys"),
    path("accounts/keys/<int:pk>/remove/", access_keys.remove_access_key, name="remove-access-key"),
    path("accounts/invitations/", invitations.invitations, name="invitations"),
    path("accounts/invitation/<str:token>/", invitations.invitation, name="invitation"),
    path("accounts/", include("allauth.urls")),
    path("people/<str:username>/", people.person, name="person"),
    path("people/<str:username>/role/", people.change_role, name="change-role"),
    path("groups/", groups.research_groups, name="research-groups"),
    path("groups/<slug:slug>/", groups.research_group, name="research-group"),
]
