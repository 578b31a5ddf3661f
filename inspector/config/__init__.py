"""What a user writes: a line's config and a product's recipe, checked at the door."""
