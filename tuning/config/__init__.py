"""Typed, strict configuration of launches."""
