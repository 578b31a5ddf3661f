"""What every process needs: readiness, stop requests, sends that end, one process a place."""
