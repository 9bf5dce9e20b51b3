"""Reliability reports over the archive."""
