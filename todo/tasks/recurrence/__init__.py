"""Recurring tasks: their rules, and the task that follows when one is completed."""
