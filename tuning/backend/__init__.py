"""Ray: clusters, trials, schedulers."""
