"""Array functions that know nothing of scenes: filters along an axis, bicubic enlargement, colour."""
