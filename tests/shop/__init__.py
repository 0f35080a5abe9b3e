"""A tiny app whose migrations add, alter and remove, for tests of what comes before them."""
