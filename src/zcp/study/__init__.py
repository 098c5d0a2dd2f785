"""Everything that only the book needs; nothing below imports it."""
