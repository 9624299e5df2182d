"""All addresses of the site."""

from django.urls import include, path

urlpatterns = [
    path("", include("wiki.api.urls")),
    path("", include("wiki.accounts.urls")),
    path("", include("wiki.moderation.urls")),
    path("", include("wiki.search.urls")),
    path("", include("wiki.following.urls")),
    # before texts: /w/replications/ is no article
    path("", include("wiki.pages.urls")),
    path("", include("wiki.texts.urls")),
]

handler400 = "wiki.pages.errors.bad_request"
handler403 = "wiki.pages.errors.refused"
handler404 = "wiki.pages.errors.page_not_found"
handler500 = "wiki.pages.errors.server_error"
