"""MLflow: everything that is written to it or read from it.

- store: the connection, experiments, errors
- projection, projector, parent_run, runs, plan: a launch folder is written as runs, idempotently
- logged_model, pyfunc, weights: a cell's model, written and read
- records, reader: runs read back
- evaluation: a cell measured on the test set
- registry: versions, aliases, the promotion gate
- ui: saved views, descriptions, links, the server
"""
