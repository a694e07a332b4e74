"""Code on the screen: highlighted, numbered, marked, searched, edited."""
