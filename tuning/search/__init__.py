"""The search after the grids: Optuna suggests trainings, Ray Tune runs them.

`space` says what may differ, `study` keeps what is known, `ledger` hands out trainings and takes
in what became of them, `run` puts it all on Ray.
"""
