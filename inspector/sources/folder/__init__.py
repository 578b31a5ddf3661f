"""Folders of images, whole or growing."""
