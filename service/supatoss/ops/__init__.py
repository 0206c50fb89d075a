"""The operators' page, `/ops`: what arrived, what became of it, and what needs a person.

It reads through functions of its own in the database, and acts through the same functions as the command line. Pages
are made on the server and can be read without JavaScript. There is no page at all unless OPS_PASSWORD is set.
"""

from supatoss.ops.routes import operators_page

__all__ = ["operators_page"]
