"""The pure core: ledger, batching, defects, continuity, judging. No socket, file or clock."""
