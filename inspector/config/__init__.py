"""Settings files: a line's config and a product's recipe, validated when they are loaded."""
