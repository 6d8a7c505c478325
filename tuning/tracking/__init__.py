"""MLflow: everything that is written to it or read from it.

- address: tracking URIs; store: the connection, experiments, errors
- delivery, cell_runs, parent_run, runs, run_tags, expected_runs: a launch, written as runs once
- logged_model, pyfunc, fetch_weights: a cell's model, written and read
- stored_runs, reader, health: runs read back
- evaluation: a cell measured on the test set
- registry: versions, aliases, the promotion gate
- ui: saved views, descriptions, links, the server
"""
