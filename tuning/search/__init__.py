"""Hyperparameter search with Optuna.

`space_file` reads what may differ between trials, `study` stores their results, `ledger` hands them
out to a backend, and `stopping` ends unpromising ones early.
"""
