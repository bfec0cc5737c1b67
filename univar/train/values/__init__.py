"""Training for values: answers to one question told apart by the values that people found in them.

`supervised` learns from labels, `distil` hands what a teacher says of unlabelled texts to a smaller encoder.
Both run in `loop`, which can be killed at any moment and continues where it was.
"""
