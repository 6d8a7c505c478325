"""MLflow: the projection of launches, and what is read back."""
