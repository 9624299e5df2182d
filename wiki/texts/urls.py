"""Addresses of texts."""

from django.urls import path

from .views import articles, editing_aids

urlpatterns = [
    path("w/", articles.articles, name="articles"),
    path("w/<str:title>/", articles.article, name="article"),
    path("write/preview/", editing_aids.preview, name="preview"),
    path("complete/", editing_aids.complete, name="complete"),
]
