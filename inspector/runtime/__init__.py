"""What every process needs: readiness messages, stop requests, sending with an end, a lock per place."""
