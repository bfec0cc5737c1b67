"""An HTTP service for one encoder and, where there is one, one store: embeddings, attribution, comparison.

A request passes `gate` (key, sizes, how many at once), then its endpoint (`embeddings`, `judging`), which
hands texts to `engine`: one thread with the encoder, which joins the texts of many requests in a batch.
"""
