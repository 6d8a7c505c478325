"""Searches compared on recorded learning curves."""
