"""What each LLM server says, as data. A new server is a new row: see docs/llm.md.

Servers with the same interface differ in what they say when a prompt is too long, in how an answer
ends, and in where a model's thinking stands. The rows are words as they were seen on the wire;
`tests/unit/test_llm_servers.py` tries each of them. Patterns meet foreign text: each is linear.
"""
