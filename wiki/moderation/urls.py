"""Addresses of moderation."""

from django.urls import path

from .views import audit, people, reports, texts

urlpatterns = [
    path("a/<int:pk>/report/", texts.report_page, name="report-text"),
    path("a/<int:pk>/moderate/", texts.moderate, name="moderate-text"),
    path("reports.json", reports.reports_json, name="reports-json"),
    path("reports/", reports.reports, name="reports"),
    path("reports/<int:pk>/", reports.report, name="report"),
    path("people/<str:username>/block/", people.block_person, name="block-person"),
    path("audit.json", audit.audit_json, name="audit-json"),
    path("audit/", audit.audit, name="audit"),
]
