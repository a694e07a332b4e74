"""Reading: notes rendered from Markdown, formulas and figures as vectors, and the view that shows them."""
