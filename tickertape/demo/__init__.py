"""``python -m tickertape.demo``: a real broker and worker, sample documents, what comes of them.

With ``--smoke`` it is isolated, ends by itself, and checks what it shows.
"""
