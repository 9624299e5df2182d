"""All addresses of the site."""

from django.urls import include, path

urlpatterns = [
    path("", include("wiki.api.urls")),
    path("", include("wiki.pages.urls")),
]

handler404 = "wiki.pages.errors.page_not_found"
handler500 = "wiki.pages.errors.server_error"
