"""Knows PostgreSQL: client programs, their command lines and processes, snapshots, archives, databases. No Django."""
