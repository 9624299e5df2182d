"""Addresses of texts."""

from django.urls import path

from .views import articles

urlpatterns = [
    path("a/<int:pk>/", articles.text, name="text"),
    path("w/", articles.articles, name="articles"),
    path("w/<str:title>/", articles.article, name="article"),
]
