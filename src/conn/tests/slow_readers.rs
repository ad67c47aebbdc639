//! Readers that do not take their answers, against the budget for answers.

use super::*;

const MIB: usize = 1 << 20;
const BUDGET: usize = 4 * MIB;
const BATCHES: i64 = 8;
const VALUE_BYTES: usize = 900_000;

/// More than a connection's buffers take of an answer that nobody reads.
fn wide_fetch(offset: i64) -> FetchRequest {
    let mut request = fetch(0, -1, &[(0, offset)], 100);
    request.max_bytes = 50 << 20;
    request.topics[0].partitions[0].max_bytes = 50 << 20;
    request
}

async fn fill(broker: &Broker) {
    let mut client = broker.connect().await;
    for correlation_id in 0..BATCHES {
        let body = produce(1, 0, &vec![7; VALUE_BYTES]).encode(9);
        client.send(ApiKey::PRODUCE, 9, correlation_id as i32, body).await;
        client.receive(ApiKey::PRODUCE, 9).await.expect("an answer");
    }
}

fn record_bytes(response: &FetchResponse) -> usize {
    let records = response.topics.iter().flat_map(|topic| &topic.partitions);
    records.flat_map(|partition| &partition.records).map(Bytes::len).sum()
}

/// However many read from the disk and do not take what they get: the budget holds, who waits too long is answered
/// without data, and all are served once memory comes back.
#[test]
fn slow_readers_keep_to_the_budget() {
    let tune = |config: &mut BrokerConfig| {
        config.shard_cache_bytes = 0;
        config.shard_fetch_memory_bytes = BUDGET;
        config.socket_send_buffer_bytes = 64 << 10;
    };
    with_broker(tune, |broker| async move {
        fill(&broker).await;
        let mut clients = Vec::new();
        for at in 0..16 {
            let client = broker.connect().await;
            let body = wide_fetch(at % BATCHES).encode(11);
            client.send(ApiKey::FETCH, 11, 5, body).await;
            clients.push(client);
        }
        let held = |broker: &Broker| broker.metrics.get(Metric::FetchMemoryBytes) as usize;
        broker
            .until(|broker| {
                assert!(held(broker) <= BUDGET);
                broker.metrics.get(Metric::FetchMemoryRefusals) > 0
            })
            .await;
        assert!(held(&broker) > BUDGET / 2 && broker.metrics.get(Metric::DiskReadBytes) as usize <= 2 * BUDGET);
        for client in &mut clients {
            let (_, body) = client.receive(ApiKey::FETCH, 11).await.expect("an answer");
            let mut response = FetchResponse::decode(body, 11).expect("a valid response");
            while record_bytes(&response) == 0 {
                response = client.fetch(11, &wide_fetch(0)).await;
            }
            assert!(record_bytes(&response) > VALUE_BYTES);
        }
        broker.until(|broker| held(broker) == 0).await;
    });
}

/// Batches in the cache are shared with it, but an answer may outlive them there: it takes no more than may be spared.
#[test]
fn cached_answers_count_too() {
    with_broker(
        |config| config.shard_fetch_memory_bytes = BUDGET,
        |broker| async move {
            fill(&broker).await;
            let mut client = broker.connect().await;
            let got = record_bytes(&client.fetch(11, &wide_fetch(0)).await);
            assert!(got > VALUE_BYTES && got <= BUDGET / 2, "{got}");
        },
    );
}
