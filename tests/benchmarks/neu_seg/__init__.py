"""The model for NEU-Seg: how it was made and what was tried for it."""
