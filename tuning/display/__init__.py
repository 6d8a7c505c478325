"""How numbers, tables, figures and progress are shown; no framework."""
