"""verdicts.jsonl: files on disk, the thread that writes them, and the journal that outlives a kill."""
