//! Tests of the codec as a whole: against a second implementation of the protocol, and against hostile bytes.

/// The generated messages and the versions in which they are served: hands the rows to the macro that is named.
macro_rules! served {
    ($each:ident) => {
        $each! {
            api_versions: API_VERSIONS, 0..=4,
                ApiVersionsRequestData = ApiVersionsRequest as API_VERSIONS_REQUEST,
                ApiVersionsResponseData = ApiVersionsResponse as API_VERSIONS_RESPONSE;
            metadata: METADATA, 0..=13,
                MetadataRequestData = MetadataRequest as METADATA_REQUEST,
                MetadataResponseData = MetadataResponse as METADATA_RESPONSE;
            create_topics: CREATE_TOPICS, 2..=7,
                CreateTopicsRequestData = CreateTopicsRequest as CREATE_TOPICS_REQUEST,
                CreateTopicsResponseData = CreateTopicsResponse as CREATE_TOPICS_RESPONSE;
            delete_topics: DELETE_TOPICS, 1..=6,
                DeleteTopicsRequestData = DeleteTopicsRequest as DELETE_TOPICS_REQUEST,
                DeleteTopicsResponseData = DeleteTopicsResponse as DELETE_TOPICS_RESPONSE;
            create_partitions: CREATE_PARTITIONS, 0..=3,
                CreatePartitionsRequestData = CreatePartitionsRequest as CREATE_PARTITIONS_REQUEST,
                CreatePartitionsResponseData = CreatePartitionsResponse as CREATE_PARTITIONS_RESPONSE;
            describe_cluster: DESCRIBE_CLUSTER, 0..=2,
                DescribeClusterRequestData = DescribeClusterRequest as DESCRIBE_CLUSTER_REQUEST,
                DescribeClusterResponseData = DescribeClusterResponse as DESCRIBE_CLUSTER_RESPONSE;
            describe_topic_partitions: DESCRIBE_TOPIC_PARTITIONS, 0..=0,
                DescribeTopicPartitionsRequestData = DescribeTopicPartitionsRequest
                    as DESCRIBE_TOPIC_PARTITIONS_REQUEST,
                DescribeTopicPartitionsResponseData = DescribeTopicPartitionsResponse
                    as DESCRIBE_TOPIC_PARTITIONS_RESPONSE;
            describe_configs: DESCRIBE_CONFIGS, 1..=4,
                DescribeConfigsRequestData = DescribeConfigsRequest as DESCRIBE_CONFIGS_REQUEST,
                DescribeConfigsResponseData = DescribeConfigsResponse as DESCRIBE_CONFIGS_RESPONSE;
            incremental_alter_configs: INCREMENTAL_ALTER_CONFIGS, 0..=1,
                IncrementalAlterConfigsRequestData = IncrementalAlterConfigsRequest
                    as INCREMENTAL_ALTER_CONFIGS_REQUEST,
                IncrementalAlterConfigsResponseData = IncrementalAlterConfigsResponse as ALTER_CONFIGS_RESPONSE;
            alter_configs: ALTER_CONFIGS, 0..=2,
                AlterConfigsRequestData = AlterConfigsRequest as ALTER_CONFIGS_REQUEST,
                AlterConfigsResponseData = AlterConfigsResponse as ALTER_CONFIGS_RESPONSE;
            list_offsets: LIST_OFFSETS, 1..=10,
                ListOffsetsRequestData = ListOffsetsRequest as LIST_OFFSETS_REQUEST,
                ListOffsetsResponseData = ListOffsetsResponse as LIST_OFFSETS_RESPONSE;
            delete_records: DELETE_RECORDS, 0..=2,
                DeleteRecordsRequestData = DeleteRecordsRequest as DELETE_RECORDS_REQUEST,
                DeleteRecordsResponseData = DeleteRecordsResponse as DELETE_RECORDS_RESPONSE;
            offset_for_leader_epoch: OFFSET_FOR_LEADER_EPOCH, 2..=4,
                OffsetForLeaderEpochRequestData = OffsetForLeaderEpochRequest as OFFSET_FOR_LEADER_EPOCH_REQUEST,
                OffsetForLeaderEpochResponseData = OffsetForLeaderEpochResponse as OFFSET_FOR_LEADER_EPOCH_RESPONSE;
            init_producer_id: INIT_PRODUCER_ID, 0..=5,
                InitProducerIdRequestData = InitProducerIdRequest as INIT_PRODUCER_ID_REQUEST,
                InitProducerIdResponseData = InitProducerIdResponse as INIT_PRODUCER_ID_RESPONSE;
            find_coordinator: FIND_COORDINATOR, 0..=6,
                FindCoordinatorRequestData = FindCoordinatorRequest as FIND_COORDINATOR_REQUEST,
                FindCoordinatorResponseData = FindCoordinatorResponse as FIND_COORDINATOR_RESPONSE;
            offset_commit: OFFSET_COMMIT, 2..=9,
                OffsetCommitRequestData = OffsetCommitRequest as OFFSET_COMMIT_REQUEST,
                OffsetCommitResponseData = OffsetCommitResponse as OFFSET_COMMIT_RESPONSE;
            offset_fetch: OFFSET_FETCH, 1..=9,
                OffsetFetchRequestData = OffsetFetchRequest as OFFSET_FETCH_REQUEST,
                OffsetFetchResponseData = OffsetFetchResponse as OFFSET_FETCH_RESPONSE;
            join_group: JOIN_GROUP, 0..=9,
                JoinGroupRequestData = JoinGroupRequest as JOIN_GROUP_REQUEST,
                JoinGroupResponseData = JoinGroupResponse as JOIN_GROUP_RESPONSE;
            heartbeat: HEARTBEAT, 0..=4,
                HeartbeatRequestData = HeartbeatRequest as HEARTBEAT_REQUEST,
                HeartbeatResponseData = HeartbeatResponse as HEARTBEAT_RESPONSE;
            leave_group: LEAVE_GROUP, 0..=5,
                LeaveGroupRequestData = LeaveGroupRequest as LEAVE_GROUP_REQUEST,
                LeaveGroupResponseData = LeaveGroupResponse as LEAVE_GROUP_RESPONSE;
            sync_group: SYNC_GROUP, 0..=5,
                SyncGroupRequestData = SyncGroupRequest as SYNC_GROUP_REQUEST,
                SyncGroupResponseData = SyncGroupResponse as SYNC_GROUP_RESPONSE;
            consumer_group_heartbeat: CONSUMER_GROUP_HEARTBEAT, 0..=1,
                ConsumerGroupHeartbeatRequestData = ConsumerGroupHeartbeatRequest
                    as CONSUMER_GROUP_HEARTBEAT_REQUEST,
                ConsumerGroupHeartbeatResponseData = ConsumerGroupHeartbeatResponse
                    as CONSUMER_GROUP_HEARTBEAT_RESPONSE;
            consumer_group_describe: CONSUMER_GROUP_DESCRIBE, 0..=1,
                ConsumerGroupDescribeRequestData = ConsumerGroupDescribeRequest as CONSUMER_GROUP_DESCRIBE_REQUEST,
                ConsumerGroupDescribeResponseData = ConsumerGroupDescribeResponse
                    as CONSUMER_GROUP_DESCRIBE_RESPONSE;
            describe_groups: DESCRIBE_GROUPS, 0..=6,
                DescribeGroupsRequestData = DescribeGroupsRequest as DESCRIBE_GROUPS_REQUEST,
                DescribeGroupsResponseData = DescribeGroupsResponse as DESCRIBE_GROUPS_RESPONSE;
            list_groups: LIST_GROUPS, 0..=5,
                ListGroupsRequestData = ListGroupsRequest as LIST_GROUPS_REQUEST,
                ListGroupsResponseData = ListGroupsResponse as LIST_GROUPS_RESPONSE;
            delete_groups: DELETE_GROUPS, 0..=2,
                DeleteGroupsRequestData = DeleteGroupsRequest as DELETE_GROUPS_REQUEST,
                DeleteGroupsResponseData = DeleteGroupsResponse as DELETE_GROUPS_RESPONSE;
            offset_delete: OFFSET_DELETE, 0..=0,
                OffsetDeleteRequestData = OffsetDeleteRequest as OFFSET_DELETE_REQUEST,
                OffsetDeleteResponseData = OffsetDeleteResponse as OFFSET_DELETE_RESPONSE;
            describe_log_dirs: DESCRIBE_LOG_DIRS, 1..=4,
                DescribeLogDirsRequestData = DescribeLogDirsRequest as DESCRIBE_LOG_DIRS_REQUEST,
                DescribeLogDirsResponseData = DescribeLogDirsResponse as DESCRIBE_LOG_DIRS_RESPONSE;
            describe_quorum: DESCRIBE_QUORUM, 0..=2,
                DescribeQuorumRequestData = DescribeQuorumRequest as DESCRIBE_QUORUM_REQUEST,
                DescribeQuorumResponseData = DescribeQuorumResponse as DESCRIBE_QUORUM_RESPONSE;
            unregister_broker: UNREGISTER_BROKER, 0..=0,
                UnregisterBrokerRequestData = UnregisterBrokerRequest as UNREGISTER_BROKER_REQUEST,
                UnregisterBrokerResponseData = UnregisterBrokerResponse as UNREGISTER_BROKER_RESPONSE;
            update_features: UPDATE_FEATURES, 0..=2,
                UpdateFeaturesRequestData = UpdateFeaturesRequest as UPDATE_FEATURES_REQUEST,
                UpdateFeaturesResponseData = UpdateFeaturesResponse as UPDATE_FEATURES_RESPONSE;
            add_raft_voter: ADD_RAFT_VOTER, 0..=0,
                AddRaftVoterRequestData = AddRaftVoterRequest as ADD_RAFT_VOTER_REQUEST,
                AddRaftVoterResponseData = AddRaftVoterResponse as ADD_RAFT_VOTER_RESPONSE;
            remove_raft_voter: REMOVE_RAFT_VOTER, 0..=0,
                RemoveRaftVoterRequestData = RemoveRaftVoterRequest as REMOVE_RAFT_VOTER_REQUEST,
                RemoveRaftVoterResponseData = RemoveRaftVoterResponse as REMOVE_RAFT_VOTER_RESPONSE;
            elect_leaders: ELECT_LEADERS, 0..=2,
                ElectLeadersRequestData = ElectLeadersRequest as ELECT_LEADERS_REQUEST,
                ElectLeadersResponseData = ElectLeadersResponse as ELECT_LEADERS_RESPONSE;
            alter_partition_reassignments: ALTER_PARTITION_REASSIGNMENTS, 0..=1,
                AlterPartitionReassignmentsRequestData = AlterPartitionReassignmentsRequest
                    as ALTER_PARTITION_REASSIGNMENTS_REQUEST,
                AlterPartitionReassignmentsResponseData = AlterPartitionReassignmentsResponse
                    as ALTER_PARTITION_REASSIGNMENTS_RESPONSE;
            list_partition_reassignments: LIST_PARTITION_REASSIGNMENTS, 0..=0,
                ListPartitionReassignmentsRequestData = ListPartitionReassignmentsRequest
                    as LIST_PARTITION_REASSIGNMENTS_REQUEST,
                ListPartitionReassignmentsResponseData = ListPartitionReassignmentsResponse
                    as LIST_PARTITION_REASSIGNMENTS_RESPONSE;
            add_partitions_to_txn: ADD_PARTITIONS_TO_TXN, 0..=5,
                AddPartitionsToTxnRequestData = AddPartitionsToTxnRequest as ADD_PARTITIONS_TO_TXN_REQUEST,
                AddPartitionsToTxnResponseData = AddPartitionsToTxnResponse as ADD_PARTITIONS_TO_TXN_RESPONSE;
            add_offsets_to_txn: ADD_OFFSETS_TO_TXN, 0..=4,
                AddOffsetsToTxnRequestData = AddOffsetsToTxnRequest as ADD_OFFSETS_TO_TXN_REQUEST,
                AddOffsetsToTxnResponseData = AddOffsetsToTxnResponse as ADD_OFFSETS_TO_TXN_RESPONSE;
            end_txn: END_TXN, 0..=5,
                EndTxnRequestData = EndTxnRequest as END_TXN_REQUEST,
                EndTxnResponseData = EndTxnResponse as END_TXN_RESPONSE;
            write_txn_markers: WRITE_TXN_MARKERS, 1..=1,
                WriteTxnMarkersRequestData = WriteTxnMarkersRequest as WRITE_TXN_MARKERS_REQUEST,
                WriteTxnMarkersResponseData = WriteTxnMarkersResponse as WRITE_TXN_MARKERS_RESPONSE;
            txn_offset_commit: TXN_OFFSET_COMMIT, 0..=5,
                TxnOffsetCommitRequestData = TxnOffsetCommitRequest as TXN_OFFSET_COMMIT_REQUEST,
                TxnOffsetCommitResponseData = TxnOffsetCommitResponse as TXN_OFFSET_COMMIT_RESPONSE;
            describe_producers: DESCRIBE_PRODUCERS, 0..=0,
                DescribeProducersRequestData = DescribeProducersRequest as DESCRIBE_PRODUCERS_REQUEST,
                DescribeProducersResponseData = DescribeProducersResponse as DESCRIBE_PRODUCERS_RESPONSE;
            describe_transactions: DESCRIBE_TRANSACTIONS, 0..=0,
                DescribeTransactionsRequestData = DescribeTransactionsRequest as DESCRIBE_TRANSACTIONS_REQUEST,
                DescribeTransactionsResponseData = DescribeTransactionsResponse as DESCRIBE_TRANSACTIONS_RESPONSE;
            list_transactions: LIST_TRANSACTIONS, 0..=2,
                ListTransactionsRequestData = ListTransactionsRequest as LIST_TRANSACTIONS_REQUEST,
                ListTransactionsResponseData = ListTransactionsResponse as LIST_TRANSACTIONS_RESPONSE;
            share_group_heartbeat: SHARE_GROUP_HEARTBEAT, 1..=1,
                ShareGroupHeartbeatRequestData = ShareGroupHeartbeatRequest as SHARE_GROUP_HEARTBEAT_REQUEST,
                ShareGroupHeartbeatResponseData = ShareGroupHeartbeatResponse as SHARE_GROUP_HEARTBEAT_RESPONSE;
            share_group_describe: SHARE_GROUP_DESCRIBE, 1..=1,
                ShareGroupDescribeRequestData = ShareGroupDescribeRequest as SHARE_GROUP_DESCRIBE_REQUEST,
                ShareGroupDescribeResponseData = ShareGroupDescribeResponse as SHARE_GROUP_DESCRIBE_RESPONSE;
            share_acknowledge: SHARE_ACKNOWLEDGE, 1..=1,
                ShareAcknowledgeRequestData = ShareAcknowledgeRequest as SHARE_ACKNOWLEDGE_REQUEST,
                ShareAcknowledgeResponseData = ShareAcknowledgeResponse as SHARE_ACKNOWLEDGE_RESPONSE;
            initialize_share_group_state: INITIALIZE_SHARE_GROUP_STATE, 0..=0,
                InitializeShareGroupStateRequestData = InitializeShareGroupStateRequest
                    as INITIALIZE_SHARE_GROUP_STATE_REQUEST,
                InitializeShareGroupStateResponseData = InitializeShareGroupStateResponse
                    as INITIALIZE_SHARE_GROUP_STATE_RESPONSE;
            read_share_group_state: READ_SHARE_GROUP_STATE, 0..=0,
                ReadShareGroupStateRequestData = ReadShareGroupStateRequest as READ_SHARE_GROUP_STATE_REQUEST,
                ReadShareGroupStateResponseData = ReadShareGroupStateResponse as READ_SHARE_GROUP_STATE_RESPONSE;
            write_share_group_state: WRITE_SHARE_GROUP_STATE, 0..=0,
                WriteShareGroupStateRequestData = WriteShareGroupStateRequest as WRITE_SHARE_GROUP_STATE_REQUEST,
                WriteShareGroupStateResponseData = WriteShareGroupStateResponse as WRITE_SHARE_GROUP_STATE_RESPONSE;
            delete_share_group_state: DELETE_SHARE_GROUP_STATE, 0..=0,
                DeleteShareGroupStateRequestData = DeleteShareGroupStateRequest as DELETE_SHARE_GROUP_STATE_REQUEST,
                DeleteShareGroupStateResponseData = DeleteShareGroupStateResponse as DELETE_SHARE_GROUP_STATE_RESPONSE;
            read_share_group_state_summary: READ_SHARE_GROUP_STATE_SUMMARY, 0..=0,
                ReadShareGroupStateSummaryRequestData = ReadShareGroupStateSummaryRequest
                    as READ_SHARE_GROUP_STATE_SUMMARY_REQUEST,
                ReadShareGroupStateSummaryResponseData = ReadShareGroupStateSummaryResponse
                    as READ_SHARE_GROUP_STATE_SUMMARY_RESPONSE;
            describe_share_group_offsets: DESCRIBE_SHARE_GROUP_OFFSETS, 0..=0,
                DescribeShareGroupOffsetsRequestData = DescribeShareGroupOffsetsRequest
                    as DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST,
                DescribeShareGroupOffsetsResponseData = DescribeShareGroupOffsetsResponse
                    as DESCRIBE_SHARE_GROUP_OFFSETS_RESPONSE;
            alter_share_group_offsets: ALTER_SHARE_GROUP_OFFSETS, 0..=0,
                AlterShareGroupOffsetsRequestData = AlterShareGroupOffsetsRequest
                    as ALTER_SHARE_GROUP_OFFSETS_REQUEST,
                AlterShareGroupOffsetsResponseData = AlterShareGroupOffsetsResponse
                    as ALTER_SHARE_GROUP_OFFSETS_RESPONSE;
            delete_share_group_offsets: DELETE_SHARE_GROUP_OFFSETS, 0..=0,
                DeleteShareGroupOffsetsRequestData = DeleteShareGroupOffsetsRequest
                    as DELETE_SHARE_GROUP_OFFSETS_REQUEST,
                DeleteShareGroupOffsetsResponseData = DeleteShareGroupOffsetsResponse
                    as DELETE_SHARE_GROUP_OFFSETS_RESPONSE;
        }
    };
}

mod draw;
mod headers;
mod hostile;
mod messages;
mod produce_fetch;
mod share_fetch;
mod topic_ids;
