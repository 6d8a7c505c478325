"""MLflow's model registry: versions, gate, champions."""
