"""A stand-in LLM server: what it answers (`bodies`), how it generates, and the server itself."""
