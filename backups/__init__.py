"""PostgreSQL backups that are proven to restore, kept in S3, remembered, and brought back. Start with README.md here."""
