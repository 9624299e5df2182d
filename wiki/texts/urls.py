"""Addresses of texts."""

from django.urls import path

from .views import articles, pending

urlpatterns = [
    path("w/", articles.articles, name="articles"),
    path("w/<str:title>/", articles.article, name="article"),
    path("a/<int:pk>/", pending.pending, name="text"),
    path("a/<int:pk>/edit/", pending.pending, name="edit-text"),
    path("a/<int:pk>/history/", pending.pending, name="history"),
    path("write/summary/", pending.pending, name="new-summary"),
    path("write/article/", pending.pending, name="new-article"),
    path("write/talk/", pending.pending, name="new-talk"),
    path("write/note/", pending.pending, name="new-note"),
]
