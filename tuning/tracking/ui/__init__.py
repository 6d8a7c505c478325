"""What MLflow's UI shows of ours."""
