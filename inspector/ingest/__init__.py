"""ingest: takes frames from one source, announces each to decide, then sends its pixels to a worker."""
