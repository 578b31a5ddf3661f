"""A candidate engine beside a running line: it sees live frames and decides nothing."""
