"""Knows where backups are kept: object keys, an S3 bucket, a local folder. No Django."""
