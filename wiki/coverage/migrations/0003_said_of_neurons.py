from __future__ import annotations

from typing import Any

from django.db import migrations, models
from django.db.models import Count, Q


def count_neurons(apps: Any, schema_editor: Any) -> None:
    neurons = apps.get_model("coverage", "Said").objects.filter(Q(n_summaries__gt=0) | Q(n_notes__gt=0), part="neuron")
    counted = neurons.order_by().values_list("model_slug", "layer").annotate(n=Count("id"))
    new = apps.get_model("coverage", "SaidOfNeurons")
    new.objects.bulk_create(new(model_slug=slug, layer=layer, n=n) for slug, layer, n in counted)


class Migration(migrations.Migration):
    dependencies = [
        ('coverage', '0002_said'),
    ]

    operations = [
        migrations.CreateModel(
            name='SaidOfNeurons',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model_slug', models.CharField(max_length=100)),
                ('layer', models.PositiveIntegerField()),
                ('n', models.PositiveIntegerField(default=0)),
            ],
            options={
                'verbose_name_plural': 'said of neurons',
                'ordering': ['model_slug', 'layer'],
                'constraints': [models.UniqueConstraint(fields=('model_slug', 'layer'), name='said_once_of_neurons')],
            },
        ),
        migrations.RunPython(count_neurons, migrations.RunPython.noop),
    ]
