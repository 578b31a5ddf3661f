"""One module a backend: from a model folder to the backend's files."""
