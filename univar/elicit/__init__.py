"""Eliciting values: what to ask, whom, and in which language."""
