"""The site with one task more, which lasts until a test lets go of it: DJANGO_SETTINGS_MODULE=tests.held.settings."""
