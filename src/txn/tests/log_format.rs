//! Records byte by byte, as Kafka's dump tool decodes them, and what is not a record.

use bytes::Bytes;

use super::*;

fn key_and_value(id: &str, transaction: &Transaction) -> (Bytes, Bytes) {
    let entry = record::entry(id, Some(transaction));
    (entry.key, entry.value.expect("it was given"))
}

fn read(value: Vec<u8>) -> Result<Transaction, record::RecordError> {
    record::read_value(&value.into())
}

fn sample() -> Transaction {
    Transaction {
        previous_producer_id: 4,
        next_producer_id: 6,
        epoch: 3,
        timeout_ms: 60_000,
        state: State::PrepareCommit,
        partitions: partitions(&[("ab", 1), ("ab", 2)]),
        started_ms: 7,
        updated_ms: 8,
        version: ClientVersion::V2,
        ..Transaction::new(5)
    }
}

#[test]
fn bytes_are_kafkas() {
    let (key, value) = key_and_value("tx", &sample());
    assert_eq!(key, [0, 0, 0, 2, b't', b'x'].as_slice());
    let expected = [
        &[0, 1][..],
        &5i64.to_be_bytes(),
        &3i16.to_be_bytes(),
        &60_000i32.to_be_bytes(),
        &[2],
        &[2, 3, b'a', b'b', 3, 0, 0, 0, 1, 0, 0, 0, 2, 0],
        &8i64.to_be_bytes(),
        &7i64.to_be_bytes(),
        &[3, 0, 8],
        &4i64.to_be_bytes(),
        &[1, 8],
        &6i64.to_be_bytes(),
        &[2, 2, 0, 2],
    ];
    assert_eq!(value, expected.concat());
}

#[test]
fn records_are_read_back() {
    let plain = Transaction::new(9);
    for transaction in [sample(), plain] {
        let (key, value) = key_and_value("tx", &transaction);
        assert_eq!(record::read_value(&value), Ok(transaction));
        assert_eq!(record::read_key(&key).as_deref(), Ok("tx"));
    }
}

/// As brokers before transactions v2 wrote it: fixed lengths, no tags.
#[test]
fn version_0_is_read() {
    let value = [
        &[0, 0][..],
        &5i64.to_be_bytes(),
        &3i16.to_be_bytes(),
        &60_000i32.to_be_bytes(),
        &[1],
        &[0, 0, 0, 1, 0, 2, b'a', b'b', 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2],
        &8i64.to_be_bytes(),
        &7i64.to_be_bytes(),
    ];
    let expected = Transaction {
        previous_producer_id: -1,
        next_producer_id: -1,
        state: State::Ongoing,
        version: ClientVersion::V0,
        ..sample()
    };
    assert_eq!(read(value.concat()), Ok(expected));
    let null = [&value[..5].concat()[..], &[255; 4], &value[6..].concat()].concat();
    assert!(read(null).unwrap().partitions.is_empty());
}

/// Damage is an error, wherever the record is cut and whatever byte is changed: never a panic.
#[test]
fn damaged_records_are_errors() {
    let (_, value) = key_and_value("tx", &sample());
    for len in 0..value.len() {
        assert!(read(value[..len].to_vec()).is_err(), "cut at {len}");
    }
    for at in 0..value.len() {
        for bit in 0..8 {
            let mut damaged = value.to_vec();
            damaged[at] ^= 1 << bit;
            let _ = read(damaged);
        }
    }
    assert!(record::read_key(&Bytes::from_static(&[0, 0, 0, 9, 1])).is_err());
    assert!(record::read_key(&Bytes::from_static(&[0, 7, 0, 0])).is_err());
}
