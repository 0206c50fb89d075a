"""The operators' page, `/ops`: received events, their outcomes, and what needs manual review.

It reads through its own database functions and acts through the same ones as the command line. Pages are rendered on
the server and work without JavaScript. Without OPS_USERS or OPS_PASSWORD there is no page.
"""

from supatoss.ops.routes import operators_page

__all__ = ["operators_page"]
