"""Helpers that know nothing of launches: secrets, YAML, provenance."""
