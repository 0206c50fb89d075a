"""Alerts: rules are checked every minute; operators get one message when a rule fails and one when it recovers."""
