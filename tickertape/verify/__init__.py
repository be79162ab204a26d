"""Do the ledger, the stores beside it and the topics agree? What does not is found and mended.

`stores` walks through the stores, `topics` through what Kafka holds; `repair` mends. All of it is
done a page at a time, and where a page ends a `Mark` says where to go on.
"""
