//! One replica's state in memory: offsets, idempotent producers, waiters. Synchronous; owned by one shard.
