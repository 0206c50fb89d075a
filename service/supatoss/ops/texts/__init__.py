"""The catalogues of the page: one a language, with the same keys."""
