"""Addresses of texts."""

from django.urls import path

from .views import circuits, citing, editing_aids, history, lists, managing, reading, writing

urlpatterns = [
    path("w.json", lists.articles_json, name="articles-json"),
    path("w/", lists.articles, name="articles"),
    path("w/<str:title>/", reading.article, name="article"),
    path("w/<str:title>/circuit.svg", circuits.circuit_svg, name="circuit-svg"),
    path("wanted/", lists.wanted, name="wanted"),
    path("drafts/", lists.drafts, name="drafts"),
    path("drafts/keep/", writing.keep, name="keep-draft"),
    path("drafts/discard/", writing.discard, name="discard-draft"),
    path("people/<str:username>/texts/", lists.written_by, name="written-by"),
    path("help/writing/", editing_aids.writing_help, name="writing-help"),
    path("write/preview/", editing_aids.preview, name="preview"),
    path("complete/", editing_aids.complete, name="complete"),
    path("write/article/", writing.new_article, name="new-article"),
    path("write/summary/", writing.new_summary, name="new-summary"),
    path("write/talk/", writing.new_talk, name="new-talk"),
    path("a/<int:pk>.json", reading.text_json, name="text-json"),
    path("a/<int:pk>.bib", citing.bibtex, name="bibtex"),
    path("a/<int:pk>/", reading.text, name="text"),
    path("a/<int:pk>/edit/", writing.edit_text, name="edit-text"),
    path("a/<int:pk>/history.json", history.history_json, name="history-json"),
    path("a/<int:pk>/history/", history.history, name="history"),
    path("a/<int:pk>/diff/", history.difference, name="diff"),
    path("a/<int:pk>/revert/", history.revert, name="revert"),
    path("a/<int:pk>/links/", lists.links_to, name="links-to"),
    path("a/<int:pk>/manage/", managing.manage, name="manage-text"),
    path("a/<int:pk>/rename/", managing.rename, name="rename"),
    path("a/<int:pk>/names/", managing.add_name, name="name-article"),
    path("a/<int:pk>/tags/", managing.change_tags, name="change-tags"),
    path("a/<int:pk>/retract/", managing.change_retraction, name="retract"),
]
