"""decide: keeps the ledger, judges every frame in order and in time, and hands verdicts to the sinks."""
