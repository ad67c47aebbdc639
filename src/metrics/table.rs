//! The table: one row per metric. Names: Kafka's (as Strimzi's dashboards use them) where Kafka has one, else corelane_*.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    /// Of the whole broker, in the first shard's cells: exported without a shard.
    BrokerGauge,
    /// A counter of nanoseconds, exported in seconds.
    Seconds,
}

macro_rules! metrics {
    ($($variant:ident, $kind:ident, $name:literal, $help:literal;)*) => {
        /// Every metric, by its row.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Metric { $(#[doc = $help] $variant,)* }
        /// (metric, kind, exported name, help), in the order of [`Metric`].
        pub static METRICS: &[(Metric, MetricKind, &str, &str)] = &[$((Metric::$variant, MetricKind::$kind, $name, $help),)*];
    };
}

metrics! {
    BytesIn, Counter, "kafka_server_brokertopicmetrics_bytesin_total", "Bytes of record batches that clients produced.";
    BytesOut, Counter, "kafka_server_brokertopicmetrics_bytesout_total", "Bytes of record batches that consumers fetched.";
    ReplicationBytesIn, Counter, "kafka_server_brokertopicmetrics_replicationbytesin_total", "Bytes of record batches that this broker copied from leaders.";
    ReplicationBytesOut, Counter, "kafka_server_brokertopicmetrics_replicationbytesout_total", "Bytes of record batches that other brokers copied from this one.";
    MessagesIn, Counter, "kafka_server_brokertopicmetrics_messagesin_total", "Records that clients produced.";
    ProduceRequests, Counter, "kafka_server_brokertopicmetrics_totalproducerequests_total", "Produce requests, by partition.";
    FetchRequests, Counter, "kafka_server_brokertopicmetrics_totalfetchrequests_total", "Fetch requests, by partition.";
    FailedProduceRequests, Counter, "kafka_server_brokertopicmetrics_failedproducerequests_total", "Produce requests that failed, by partition.";
    FailedFetchRequests, Counter, "kafka_server_brokertopicmetrics_failedfetchrequests_total", "Fetch requests that failed, by partition.";
    Partitions, Gauge, "kafka_server_replicamanager_partitioncount", "Partitions that this broker hosts.";
    Leaders, Gauge, "kafka_server_replicamanager_leadercount", "Partitions that this broker leads.";
    UnderReplicated, Gauge, "kafka_server_replicamanager_underreplicatedpartitions", "Partitions that this broker leads and that not all replicas are in sync of; those that a reassignment adds do not count.";
    UnderMinIsr, Gauge, "kafka_server_replicamanager_underminisrpartitioncount", "Partitions that this broker leads with fewer replicas in sync than min.insync.replicas: writes with acks=all are refused.";
    AtMinIsr, Gauge, "kafka_server_replicamanager_atminisrpartitioncount", "Partitions that this broker leads with exactly min.insync.replicas in sync: one less, and writes with acks=all are refused. Those of one replica count.";
    OfflineReplicas, Gauge, "kafka_server_replicamanager_offlinereplicacount", "Replicas of this broker whose log directory failed, or whose log could not be opened.";
    IsrShrinks, Counter, "kafka_server_replicamanager_isrshrinks_total", "Times that this broker, as a leader, had followers taken out of an ISR because they fell behind.";
    IsrExpands, Counter, "kafka_server_replicamanager_isrexpands_total", "Times that this broker, as a leader, had followers taken into an ISR because they caught up.";
    FailedIsrUpdates, Counter, "kafka_server_replicamanager_failedisrupdates_total", "Changes of an ISR that this broker asked for and did not get.";
    FailingReplicas, Gauge, "kafka_server_replicafetchermanager_failedpartitionscount", "Partitions that this broker tries to copy from their leaders and cannot.";
    FollowerFetches, Counter, "corelane_follower_fetches_total", "Fetch requests of other brokers' replicas that this broker answered.";
    LeaderFetches, Counter, "corelane_leader_fetches_total", "Fetch requests to leaders that were answered.";
    LeaderFetchFailures, Counter, "corelane_leader_fetch_failures_total", "Fetch requests to leaders that failed as a whole: no connection, no answer, or a refusal.";
    PartitionsOpening, Gauge, "corelane_partitions_opening", "Partitions whose log is being opened, or recovered, or waits for its turn.";
    PartitionsFailed, Gauge, "corelane_partitions_failed", "Partitions that are not served because their log could not be opened or its directory failed.";
    Connections, Gauge, "kafka_server_socket_server_metrics_connection_count", "Open client connections.";
    ConnectionsAccepted, Counter, "corelane_connections_accepted_total", "Connections accepted.";
    ConnectionsRefused, Counter, "corelane_connections_refused_total", "Connections closed at once because max.connections or max.connections.per.ip was reached.";
    ConnectionsIdleClosed, Counter, "corelane_connections_idle_closed_total", "Connections closed after connections.max.idle.ms without a request.";
    BadFrames, Counter, "corelane_bad_frames_total", "Connections closed because of a frame that is no valid request of a served API and version.";
    RequestMemoryBytes, Gauge, "corelane_request_memory_bytes", "Bytes admitted for requests that are being read or handled.";
    RequestMemoryWaits, Counter, "corelane_request_memory_waits_total", "Times that a connection waited for shard.request.memory.bytes before it read a request.";
    TrailingBytes, Counter, "corelane_request_trailing_bytes_total", "Requests with bytes behind the last field.";
    LaneMessages, Counter, "corelane_lane_messages_total", "Messages sent to other shards.";
    ShardTurns, Counter, "corelane_shard_turns_total", "Turns of the pump.";
    CpuBusy, Seconds, "corelane_cpu_busy_seconds_total", "CPU time of the shard's thread. It waits in the kernel when it has nothing to do, so this is work.";
    SlowRequests, Counter, "corelane_slow_requests_total", "Requests that took request.slow.log.ms or longer, a long poll's wait not counted.";
    DiskWrites, Counter, "corelane_disk_writes_total", "Direct writes of log data.";
    DiskWriteBytes, Counter, "corelane_disk_write_bytes_total", "Bytes of those writes, padding to whole blocks included.";
    JournalWrites, Counter, "corelane_journal_writes_total", "Direct writes of a journal, each with the small appends of several partitions; counted as disk writes too.";
    JournalEntries, Counter, "corelane_journal_entries_total", "Partitions' appends in those writes.";
    DiskReads, Counter, "corelane_disk_reads_total", "Direct reads for consumers that the cache could not serve.";
    DiskReadBytes, Counter, "corelane_disk_read_bytes_total", "Bytes of those reads.";
    DiskReadsWaiting, Gauge, "corelane_disk_reads_waiting", "Fetches that wait for their turn to read from the disk.";
    FetchMemoryBytes, Gauge, "corelane_fetch_memory_bytes", "Bytes of fetched batches that are being read or sent.";
    FetchMemoryRefusals, Counter, "corelane_fetch_memory_refusals_total", "Fetches answered without data because shard.fetch.memory.bytes were in use for too long.";
    CacheBytes, Gauge, "corelane_cache_bytes", "Bytes of batches in the cache.";
    CacheLimitBytes, Gauge, "corelane_cache_limit_bytes", "Bytes that the cache may hold for now; grows as readers miss what had to leave it, up to shard.cache.bytes.";
    CacheHits, Counter, "corelane_cache_hits_total", "Partition reads served from the cache alone.";
    CacheMisses, Counter, "corelane_cache_misses_total", "Partition reads that needed the disk.";
    CompactionRounds, Counter, "corelane_compaction_rounds_total", "Compactions of a log that came to their end.";
    CompactionReadBytes, Counter, "corelane_compaction_read_bytes_total", "Bytes of batches that compaction read.";
    CompactionFreedBytes, Counter, "corelane_compaction_freed_bytes_total", "Bytes by which compaction made logs smaller.";
    CompactionFailures, Counter, "corelane_compaction_failures_total", "Compactions that failed; the log serves on and is tried again.";
    CompactionQuarantined, Gauge, "kafka_log_logcleanermanager_uncleanable_partitions_count", "Partitions whose last compaction failed.";
    OfflineLogDirs, BrokerGauge, "kafka_log_logmanager_offlinelogdirectorycount", "Log directories that failed.";
    FullLogDirs, BrokerGauge, "corelane_full_log_directories", "Log directories below log.dir.min.free.bytes: produce is refused there.";
    StrayDirs, BrokerGauge, "corelane_stray_directories", "Partition directories without a topic that lie in the log directories, renamed to end in -stray; counted at start.";
    Groups, Gauge, "kafka_coordinator_group_groupmetadatamanager_numgroups", "Groups that this broker coordinates.";
    GroupOffsets, Gauge, "kafka_coordinator_group_groupmetadatamanager_numoffsets", "Offsets that they have committed.";
    GroupsEmpty, Gauge, "kafka_coordinator_group_groupmetadatamanager_numgroupsempty", "Groups without members.";
    GroupsStable, Gauge, "kafka_coordinator_group_groupmetadatamanager_numgroupsstable", "Groups whose members have their partitions.";
    GroupsPreparing, Gauge, "kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance", "Groups that wait for members to join.";
    GroupsCompleting, Gauge, "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance", "Groups that wait for their leader's assignment.";
    GroupOffsetsLeftOut, Gauge, "corelane_metrics_group_offsets_left_out", "Groups and their offsets without metrics of their own, because metrics.group.offsets.max was reached.";
    LateTransactions, Gauge, "kafka_server_replicamanager_partitionswithlatetransactionscount", "Partitions with a transaction that nothing was written to for five minutes more than transaction.max.timeout.ms: readers of committed data wait for its end.";
    FetchSessions, Gauge, "corelane_fetch_sessions", "Incremental fetch sessions held.";
}
