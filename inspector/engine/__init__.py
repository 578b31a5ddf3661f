"""An engine on disk: a folder of the backend's files, a manifest, and golden frames."""
