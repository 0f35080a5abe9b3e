"""Makes the bucket of the settings where it is not there, for docker-compose.yml: `python -m ichrisbirch_site.bucket`"""

import os
import sys


def main() -> int:
    """Exit code 0 when the bucket is there, else 1."""
    import django

    django.setup()
    from backups import conf
    from backups.exceptions import BackupsError
    from backups.storage.bucket import make_bucket

    options = conf.store_options()
    if options is None:
        sys.stderr.write("No bucket is named: set AWS_S3_BACKUP_BUCKET.\n")
        return 1
    try:
        was_made = make_bucket(options)
    except BackupsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"The bucket {options.bucket} {'was made' if was_made else 'is there'}.\n")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ichrisbirch_site.settings")
    sys.exit(main())
