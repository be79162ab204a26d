"""What aiokafka must do otherwise: tolerant, bounded reading, commits that end, topics' identity.

Every consumer of ours is a `tickertape.kafka.consumer.Consumer`.
"""
