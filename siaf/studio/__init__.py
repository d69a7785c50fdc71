"""`siaf studio`: a page in the browser to draw, commit, propagate and correct, and the server behind it."""
