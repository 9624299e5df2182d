from django.db import migrations

ADMIN = 5


def make_operators_admins(apps, schema_editor):
    """Who was an operator is an admin; their address was given by whoever may run commands on the site's machine."""
    User = apps.get_model("accounts", "User")
    EmailAddress = apps.get_model("account", "EmailAddress")
    for user in User.objects.filter(is_staff=True):
        User.objects.filter(pk=user.pk).update(role=ADMIN, is_superuser=True)
        taken = EmailAddress.objects.filter(email=user.email.lower()).exists()
        if user.email and not taken:
            EmailAddress.objects.create(user=user, email=user.email.lower(), verified=True, primary=True)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_people"),
        ("account", "0009_emailaddress_unique_primary_email"),
    ]

    operations = [migrations.RunPython(make_operators_admins, migrations.RunPython.noop)]
