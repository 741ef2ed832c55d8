"""Pictures: enlarging in tiles, transparency, defects that networks sharpen."""
