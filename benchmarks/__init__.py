"""Measures the road out side by side with pg_dump alone and with django-dbbackup: `make bench`."""
