from django.urls import path

from . import health, jobs, runs

urlpatterns = [
    path("health/", health.health, name="health"),
    path("api/runs/", runs.runs, name="upload-run"),
    path("api/jobs/<int:job_id>/claim/", jobs.claim),
    path("api/jobs/<int:job_id>/renew/", jobs.renew),
    path("api/jobs/<int:job_id>/finish/", jobs.finish),
    path("api/jobs/<int:job_id>/fail/", jobs.fail),
]
