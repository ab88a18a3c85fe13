"""What runs around the code: the local stack, compose file and later charts and dashboards."""
