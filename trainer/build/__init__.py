"""Builds engine folders from model folders; one module per backend writes its files."""
