"""What tests and measurements both need: a broker, a system of workers, the model, a stand-in LLM.

It needs no more than a worker does, and no pytest: the fixtures made of it are in `tests/`.
"""
