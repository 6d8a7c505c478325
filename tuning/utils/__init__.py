"""What knows nothing of launches: secrets, YAML, provenance."""
