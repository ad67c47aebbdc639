//! Tests of the module as a whole: round trips, damage, validation, and an independent implementation as the oracle.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_700_000_000_000;
const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];
const OPEN_MAX: usize = 1 << 20;

fn rules() -> Rules {
    Rules {
        max_message_bytes: 1_048_588,
        segment_bytes: 1 << 30,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compacted: false,
        compression: None,
        produce_version: 9,
    }
}

/// Three keyed records at NOW_MS, NOW_MS + 5 and NOW_MS - 5.
fn sample(codec: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(codec).producer(9, 2, 40);
    let header = Header {
        key: Bytes::from_static(b"h"),
        value: None,
    };
    builder.push(NOW_MS, Some(b"k0"), Some(b"v0"), &[]);
    builder.push(NOW_MS + 5, Some(b"k1"), None, std::slice::from_ref(&header));
    builder.push(NOW_MS - 5, Some(b"k2"), Some(&[7; 300]), &[header]);
    builder.build()
}

fn keyless(codec: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    builder.push(NOW_MS, Some(b"k"), Some(b"v"), &[]);
    builder.push(NOW_MS, None, Some(b"v"), &[]);
    builder.build()
}

/// The batch with its header changed, and a checksum that fits.
fn changed(batch: &Bytes, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::parse(batch).unwrap();
    change(&mut header);
    let mut batch = batch.to_vec();
    header.seal(&mut batch);
    batch.into()
}

/// A batch with these bytes in the place of its records, and a checksum that fits.
fn with_records(batch: &Bytes, records: &[u8]) -> Bytes {
    changed(&[&batch[..HEADER_LEN], records].concat().into(), |_| {})
}

fn records(batch: &Bytes) -> Vec<Record> {
    let header = BatchHeader::parse(batch).unwrap();
    Records::of(&header, batch.clone(), OPEN_MAX)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

fn check(batch: &Bytes, rules: &Rules) -> Result<ValidBatch, Invalid> {
    ValidBatch::check(batch.clone(), rules, NOW_MS)
}

/// The bytes that a golden string spells.
pub(super) fn unhex(text: &str) -> Bytes {
    let digits: Vec<u8> = text
        .bytes()
        .map(|digit| (digit as char).to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[track_caller]
fn assert_invalid_record(batch: &Bytes, part: &str) {
    match check(batch, &rules()) {
        Err(Invalid::InvalidRecord { message, .. }) => assert!(message.contains(part), "{message:?} lacks {part:?}"),
        other => panic!("{other:?} instead of an invalid record for {part:?}"),
    }
}

// Goal: the plain case hands on the very same bytes: no copy, header as sent, no append time (behaviours 22, 23).
#[test]
fn sound_batches_pass_as_sent() {
    for codec in CODECS {
        let batch = sample(codec);
        let valid = check(&batch, &rules()).unwrap();
        assert_eq!(valid.bytes.as_ptr(), batch.as_ptr());
        assert_eq!(valid.bytes, batch);
        assert_eq!(valid.header, BatchHeader::parse(&batch).unwrap());
        assert_eq!(valid.log_append_time_ms, -1);
        assert_eq!((valid.header.producer_id, valid.header.last_sequence()), (9, 42));
    }
}

// Goal: batches written by an independent client (kafka-python 2.0.2, its codecs in C) are valid to us and read the same.
#[test]
fn batches_of_an_independent_client_are_read() {
    let batches = [
        (
            Compression::None,
            1,
            "\
            0000000000000000000000640000000002ee120d5e00000000000200000000000003e800000000000003eaffffffffffffff\
            ffffffffffffff0000000322000000046b3012636f72656c616e652000260002020112636f72656c616e6520020268027818\
            000404046b32010202680278",
        ),
        (
            Compression::Gzip,
            12,
            "\
            0000000000000000000000730000000002231676fa00010000000200000000000003e800000000000003eaffffffffffffff\
            ffffffffffffff000000031f8b08004d03046b02ff7bc5c8c0c0c0926d70833139bf283527312f55810e0c86778c0c4c4c8c\
            f4b594892983a9428281858525db8811cc0100e81810c3fd000000",
        ),
        (
            Compression::Snappy,
            12,
            "\
            0000000000000000000000820000000002ec9fb1ce00020000000200000000000003e800000000000003eaffffffffffffff\
            ffffffffffffff0000000382534e415050590000000001000000010000003dfd0148ea01000000046b30d801636f72656c61\
            6e6520fe09008a09001800ee0100020201fe7500b6750044020268027818000404046b32010202680278",
        ),
        (
            Compression::Lz4,
            12,
            "\
            00000000000000000000007f0000000002fab3860f00030000000200000000000003e800000000000003eaffffffffffffff\
            ffffffffffffff0000000304224d186840fd00000000000000a237000000ff04ea01000000046b30d801636f72656c616e65\
            200900507f00ee010002020175005bf003020268027818000404046b3201020268027800000000",
        ),
        (
            Compression::Zstd,
            12,
            "\
            00000000000000000000007100000000025104219f00040000000200000000000003e800000000000003eaffffffffffffff\
            ffffffffffffff0000000328b52ffd20fdbd0100c402ea01000000046b30d801636f72656c616e652000ee01000202010202\
            68027818000404046b3201020268027802000b0fa909989630",
        ),
    ];
    for (codec, repeats, hex) in batches {
        let valid = check(&unhex(hex), &rules()).unwrap();
        assert_eq!(valid.header.compression(), Ok(codec));
        let value = Bytes::from("corelane ".repeat(repeats));
        let header = Header {
            key: Bytes::from_static(b"h"),
            value: Some(Bytes::from_static(b"x")),
        };
        let record = |offset, key: Option<&'static str>, value: Option<&Bytes>, headers: &[Header]| Record {
            offset,
            timestamp: 1000 + offset,
            key: key.map(Bytes::from),
            value: value.cloned(),
            headers: headers.to_vec(),
        };
        let expected = [
            record(0, Some("k0"), Some(&value), &[]),
            record(1, None, Some(&value), std::slice::from_ref(&header)),
            record(2, Some("k2"), None, std::slice::from_ref(&header)),
        ];
        assert_eq!(records(&valid.bytes), expected);
    }
}

// Goal: exactly one whole v2 batch per partition (behaviour 16).
#[test]
fn anything_but_one_batch_is_refused() {
    let batch = sample(Compression::None);
    assert_invalid_record(&Bytes::new(), "one whole batch");
    assert_invalid_record(&batch.slice(..batch.len() - 1), "cut short");
    assert_invalid_record(&[&batch[..], &batch[..]].concat().into(), "exactly one batch");
    let mut old = batch.to_vec();
    old[16] = 1;
    assert_invalid_record(&old.into(), "magic 1");
    let mut impossible = batch.to_vec();
    impossible[8..12].copy_from_slice(&[0; 4]);
    assert!(matches!(check(&impossible.into(), &rules()), Err(Invalid::Corrupt(_))));
}

// Goal: a damaged batch is corrupt, which clients retry (behaviour 20).
#[test]
fn damaged_batches_are_corrupt() {
    let mut batch = sample(Compression::None).to_vec();
    batch[100] ^= 1;
    assert!(matches!(check(&batch.into(), &rules()), Err(Invalid::Corrupt(_))));
}

// Goal: each rule about the header refuses what breaks it (behaviours 20, 21).
#[test]
fn header_rules_hold() {
    let batch = sample(Compression::None);
    let with = |change: fn(&mut BatchHeader)| changed(&batch, change);
    assert_invalid_record(&with(|h| h.base_offset = 1), "base offset");
    assert_invalid_record(&with(|h| h.record_count = 0), "record count 0");
    assert_invalid_record(&with(|h| h.record_count = -1), "record count -1");
    assert_invalid_record(&with(|h| h.record_count = 2), "does not agree");
    assert_invalid_record(&with(|h| h.last_offset_delta = i32::MAX), "does not agree");
    assert_invalid_record(&with(|h| h.attributes |= 0x20), "control");
    assert_invalid_record(&with(|h| h.base_sequence = -1), "sequence -1");
    assert_invalid_record(&with(|h| h.producer_epoch = -1), "epoch -1");
    let anonymous = |h: &mut BatchHeader| (h.attributes, h.producer_id) = (0x10, -1);
    assert_invalid_record(&with(anonymous), "transactional");
    assert!(check(&with(|h| h.attributes |= 0x10), &rules()).is_ok());
    let unknown = with(|h| h.attributes |= 7);
    assert!(matches!(
        check(&unknown, &rules()),
        Err(Invalid::UnsupportedCompression(_))
    ));
    for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
        let rules = Rules {
            timestamp_type,
            ..rules()
        };
        let stamped = with(|h| h.attributes |= 8);
        assert!(matches!(check(&stamped, &rules), Err(Invalid::InvalidTimestamp { .. })));
    }
}

// Goal: an uncompressed batch whose records are not what the header announces is refused.
#[test]
fn records_that_disagree_with_the_header_are_refused() {
    let batch = sample(Compression::None);
    assert_invalid_record(
        &changed(&batch, |h| (h.record_count, h.last_offset_delta) = (2, 1)),
        "left after the last",
    );
    assert_invalid_record(
        &changed(&batch, |h| (h.record_count, h.last_offset_delta) = (4, 3)),
        "at record 3",
    );
    let mut gap = batch.to_vec();
    gap[HEADER_LEN + 3] = 2; // the first record's offset delta: 1 instead of 0
    assert_invalid_record(&changed(&gap.into(), |_| {}), "record 0 has offset delta 1");
}

// Goal: the size is that of the batch as sent; the limits themselves are allowed (behaviour 19).
#[test]
fn sizes_are_limited() {
    let batch = sample(Compression::Gzip);
    let len = batch.len();
    let largest = Rules {
        max_message_bytes: len,
        segment_bytes: len,
        ..rules()
    };
    assert!(check(&batch, &largest).is_ok());
    let large = check(
        &batch,
        &Rules {
            max_message_bytes: len - 1,
            ..largest.clone()
        },
    );
    assert!(matches!(large, Err(Invalid::MessageTooLarge(_))));
    let long = check(
        &batch,
        &Rules {
            segment_bytes: len - 1,
            ..largest.clone()
        },
    );
    assert!(matches!(long, Err(Invalid::RecordListTooLarge(_))));
    // Small as sent, too large once it is stored uncompressed.
    let grown = check(
        &batch,
        &Rules {
            compression: Some((Compression::None, 0)),
            ..largest
        },
    );
    assert!(matches!(grown, Err(Invalid::MessageTooLarge(_))));
}

// Goal: a batch that would grow beyond every bound is refused with the code that makes producers split it.
#[test]
fn decompression_bombs_are_too_large() {
    let bomb = zstd::bulk::compress(&vec![0; DECOMPRESSED_BYTES_MAX + 1], 1).unwrap();
    let batch = with_records(&sample(Compression::Zstd), &bomb);
    assert!(batch.len() < 10_000);
    let rules = Rules {
        compacted: true,
        ..rules()
    };
    assert!(matches!(check(&batch, &rules), Err(Invalid::MessageTooLarge(_))));
}

// Goal: zstd needs Produce v7 (behaviour 16).
#[test]
fn zstd_needs_a_new_produce_version() {
    let batch = sample(Compression::Zstd);
    let old = check(
        &batch,
        &Rules {
            produce_version: 6,
            ..rules()
        },
    );
    assert!(matches!(old, Err(Invalid::UnsupportedCompression(_))));
    assert!(
        check(
            &batch,
            &Rules {
                produce_version: 7,
                ..rules()
            }
        )
        .is_ok()
    );
}

// Goal: on a compacted topic a record without a key is named, in every codec; elsewhere it passes (behaviour 21).
#[test]
fn compacted_topics_need_keys() {
    let compacted = Rules {
        compacted: true,
        ..rules()
    };
    for codec in CODECS {
        assert!(check(&keyless(codec), &rules()).is_ok());
        assert!(check(&sample(codec), &compacted).is_ok());
        match check(&keyless(codec), &compacted) {
            Err(Invalid::InvalidRecord { records, .. }) => {
                assert_eq!(records.iter().map(|record| record.batch_index).collect::<Vec<_>>(), [1]);
                assert!(records[0].message.is_some());
            }
            other => panic!("{codec:?}: {other:?}"),
        }
    }
}

// Goal: the answer names a bounded number of refused records.
#[test]
fn refused_records_are_named_up_to_a_limit() {
    let mut builder = BatchBuilder::new(Compression::None);
    (0..5000).for_each(|_| builder.push(NOW_MS, None, None, &[]));
    match check(
        &builder.build(),
        &Rules {
            compacted: true,
            ..rules()
        },
    ) {
        Err(Invalid::InvalidRecord { message, records }) => {
            assert_eq!(records.len(), INVALID_RECORDS_MAX);
            assert!(message.contains("5000"));
        }
        other => panic!("{other:?}"),
    }
}

// Goal: times beyond either limit are refused and named, the limits themselves pass, "no time" is exempt (behaviour 21).
#[test]
fn timestamps_are_limited() {
    for codec in CODECS {
        let batch = sample(codec);
        let within = |before, after| Rules {
            timestamp_before_max_ms: before,
            timestamp_after_max_ms: after,
            ..rules()
        };
        assert!(check(&batch, &within(5, 5)).is_ok());
        for (rules, refused) in [(within(5, 4), 1), (within(i64::MAX, 4), 1), (within(4, 5), 2)] {
            match check(&batch, &rules) {
                Err(Invalid::InvalidTimestamp { records, .. }) => {
                    let indexes: Vec<_> = records.iter().map(|record| record.batch_index).collect();
                    assert_eq!(indexes, [refused], "{codec:?}");
                }
                other => panic!("{codec:?}: {other:?}"),
            }
        }
        let mut timeless = BatchBuilder::new(codec);
        timeless.push(-1, None, None, &[]);
        assert!(check(&timeless.build(), &within(0, 0)).is_ok());
    }
}

// Goal: a header whose max timestamp is not its records' is set right, where we looked.
#[test]
fn wrong_max_timestamps_are_set_right() {
    let late = NOW_MS + 100_000_000;
    for codec in CODECS {
        let batch = sample(codec);
        let valid = check(&changed(&batch, |h| h.max_timestamp = late), &rules()).unwrap();
        assert_eq!(valid.bytes, batch, "{codec:?}");
        assert_eq!(valid.header, BatchHeader::parse(&batch).unwrap());
    }
    let batch = sample(Compression::None);
    let valid = check(&changed(&batch, |h| h.max_timestamp = 0), &rules()).unwrap();
    assert_eq!(valid.bytes, batch);
}

// Goal: LogAppendTime sets bit 3, the max timestamp and the checksum, and nothing else (behaviour 22).
#[test]
fn log_append_time_rewrites_the_header() {
    for codec in CODECS {
        let batch = sample(codec);
        let rules = Rules {
            timestamp_type: TimestampType::LogAppendTime,
            ..rules()
        };
        let later = NOW_MS + 1_000_000_000;
        let valid = ValidBatch::check(batch.clone(), &rules, later).unwrap();
        assert_eq!(valid.log_append_time_ms, later);
        assert_eq!(BatchHeader::parse(&valid.bytes), Ok(valid.header));
        assert_eq!(valid.header.check_crc(&valid.bytes), Ok(()));
        assert!(valid.header.is_log_append_time());
        let sent = BatchHeader::parse(&batch).unwrap();
        let expected = BatchHeader {
            crc: valid.header.crc,
            ..sent.with_log_append_time(later)
        };
        assert_eq!(valid.header, expected);
        assert_eq!(valid.bytes[HEADER_LEN..], batch[HEADER_LEN..]);
        assert!(records(&valid.bytes).iter().all(|record| record.timestamp == later));
        assert_eq!(
            batch,
            sample(codec),
            "the producer's buffer is shared, so it must not change"
        );
    }
}

// Goal: another codec re-compresses and keeps producer, sequence and times; the same one leaves the bytes (behaviour 23).
#[test]
fn configured_compression_is_applied() {
    for from in CODECS {
        for to in CODECS {
            let batch = changed(&sample(from), |header| header.attributes |= 0x10);
            let level = if to == Compression::Zstd { 3 } else { -1 };
            let valid = check(
                &batch,
                &Rules {
                    compression: Some((to, level)),
                    ..rules()
                },
            )
            .unwrap();
            assert_eq!(valid.header.compression(), Ok(to));
            assert_eq!(BatchHeader::parse(&valid.bytes), Ok(valid.header));
            assert_eq!(valid.header.check_crc(&valid.bytes), Ok(()));
            assert_eq!(valid.header.total_len(), valid.bytes.len());
            assert!(valid.header.is_transactional());
            assert_eq!(valid.header.producer_id, 9);
            assert_eq!((valid.header.producer_epoch, valid.header.base_sequence), (2, 40));
            assert_eq!(valid.header.max_timestamp, NOW_MS + 5);
            assert_eq!(records(&valid.bytes), records(&batch));
            assert_eq!(valid.bytes == batch, from == to);
        }
    }
}

// Goal: compressed records that do not decompress are refused where they are opened.
#[test]
fn broken_compressed_records_are_refused() {
    for codec in &CODECS[1..] {
        let batch = with_records(&sample(*codec), b"no such codec");
        let rules = Rules {
            compacted: true,
            ..rules()
        };
        assert!(
            matches!(check(&batch, &rules), Err(Invalid::InvalidRecord { .. })),
            "{codec:?}"
        );
    }
}

// Goal: malformed records are errors that end the iteration, never a panic, never silence.
#[test]
fn malformed_records_end_the_iteration() {
    let cases: [(&str, &[u8]); 13] = [
        ("nothing", &[]),
        ("the size is negative", &[1]),
        ("the size passes the end", &[18, 0, 0, 0, 1, 1, 0]),
        ("the size is larger than the content", &[16, 0, 0, 0, 1, 1, 0, 0, 0]),
        ("the size cuts the record", &[10, 0, 0, 0, 1, 1, 0]),
        ("a key length of -2", &[12, 0, 0, 0, 3, 1, 0]),
        ("a key beyond the record", &[12, 0, 0, 0, 100, 1, 0]),
        ("more headers than bytes", &[12, 0, 0, 0, 1, 1, 2]),
        ("a negative header count", &[12, 0, 0, 0, 1, 1, 1]),
        ("a null header key", &[16, 0, 0, 0, 1, 1, 2, 1, 1]),
        (
            "a varint of six bytes",
            &[0x8c, 0x80, 0x80, 0x80, 0x80, 0, 0, 0, 0, 1, 1, 0],
        ),
        (
            "a varlong beyond 64 bits",
            &[
                30, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2, 0, 1, 1, 0,
            ],
        ),
        (
            "a varint beyond 32 bits",
            &[0x8c, 0x80, 0x80, 0x80, 0x70, 0, 0, 0, 1, 1, 0],
        ),
    ];
    for (name, plain) in cases {
        let mut views = RecordViews::new(plain, 1);
        assert!(matches!(views.next(), Some(Err(BatchError::Record(_)))), "{name}");
        assert!(views.next().is_none(), "{name}");
    }
    assert!(RecordViews::new(&[12, 0, 0, 0, 1, 1, 0], 1).all(|view| view.is_ok()));
    assert!(matches!(RecordViews::new(&[], -1).next(), Some(Err(_))));
    assert!(RecordViews::new(&[], 0).next().is_none());
}

#[derive(Clone, Debug)]
struct Draft {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    /// Distinct keys: the oracle keeps headers in a map.
    headers: Vec<Option<Vec<u8>>>,
}

impl Draft {
    fn headers(&self) -> Vec<Header> {
        let header = |(at, value): (usize, &Option<Vec<u8>>)| Header {
            key: Bytes::from(format!("header-{at}")),
            value: value.clone().map(Bytes::from),
        };
        self.headers.iter().enumerate().map(header).collect()
    }

    fn record(&self, offset: usize) -> Record {
        Record {
            offset: offset as i64,
            timestamp: self.timestamp,
            key: self.key.clone().map(Bytes::from),
            value: self.value.clone().map(Bytes::from),
            headers: self.headers(),
        }
    }
}

fn some_bytes(len_max: usize) -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..len_max))
}

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let headers = prop::collection::vec(some_bytes(10), 0..4);
    let draft =
        (0..=NOW_MS, some_bytes(20), some_bytes(600), headers).prop_map(|(timestamp, key, value, headers)| Draft {
            timestamp,
            key,
            value,
            headers,
        });
    prop::collection::vec(draft, 1..20)
}

fn build(codec: Compression, drafts: &[Draft]) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    for draft in drafts {
        builder.push(
            draft.timestamp,
            draft.key.as_deref(),
            draft.value.as_deref(),
            &draft.headers(),
        );
    }
    assert_eq!(builder.len(), drafts.len());
    builder.build()
}

proptest! {
    // Goal: what is built is valid, and comes back record by record, in every codec.
    #[test]
    fn batches_round_trip(drafts in drafts()) {
        let expected: Vec<Record> = drafts.iter().enumerate().map(|(at, draft)| draft.record(at)).collect();
        for codec in CODECS {
            let batch = build(codec, &drafts);
            let header = BatchHeader::parse(&batch).unwrap();
            prop_assert_eq!(header.total_len(), batch.len());
            prop_assert_eq!(header.last_offset(), drafts.len() as i64 - 1);
            prop_assert_eq!(header.max_timestamp, drafts.iter().map(|draft| draft.timestamp).max().unwrap());
            prop_assert_eq!(records(&batch), expected.clone());
            prop_assert!(check(&batch, &rules()).is_ok());
            let open = Rules { timestamp_before_max_ms: NOW_MS, ..rules() };
            prop_assert_eq!(check(&batch, &open).unwrap().bytes, batch);
        }
    }

    // Goal: a flipped byte is refused, or lies in the leader epoch, which nobody reads from a producer.
    #[test]
    fn flipped_bytes_are_refused(drafts in drafts(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        for codec in CODECS {
            let mut batch = build(codec, &drafts).to_vec();
            let at = at.index(batch.len());
            batch[at] ^= flip;
            let refused = check(&batch.into(), &rules()).is_err();
            prop_assert_eq!(refused, !(12..16).contains(&at), "byte {}", at);
        }
    }

    // Goal: damage under a valid checksum never panics, neither in validation nor in iteration, whatever the rules.
    #[test]
    fn damage_under_a_valid_checksum_never_panics(drafts in drafts(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        for codec in CODECS {
            let mut batch = build(codec, &drafts).to_vec();
            let at = HEADER_LEN - 40 + at.index(batch.len() - HEADER_LEN + 40);
            batch[at] ^= flip;
            let header = BatchHeader::parse(&batch).unwrap();
            let batch = changed(&batch.into(), |_| {});
            if let Ok(records) = Records::of(&header, batch.clone(), OPEN_MAX) {
                for record in records.flatten() {
                    prop_assert!(record.value.is_none_or(|value| value.len() <= OPEN_MAX));
                }
            }
            let strict = Rules { compacted: true, timestamp_before_max_ms: 0, compression: Some((Compression::Gzip, 1)), ..rules() };
            let _ = check(&batch, &strict);
            let _ = check(&batch, &rules());
        }
    }

    // Goal: arbitrary bytes, also behind a sound header, never panic.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), count in any::<i32>(), bits in 0i16..8) {
        let _ = check(&bytes.clone().into(), &rules());
        for view in RecordViews::new(&bytes, count).flatten() {
            prop_assert!(view.headers().all(|header| header.is_ok()));
        }
        let batch = with_records(&sample(Compression::None), &bytes);
        let batch = changed(&batch, |header| (header.record_count, header.attributes) = (count, bits));
        let header = BatchHeader::parse(&batch).unwrap();
        if let Ok(records) = Records::of(&header, batch, 4096) {
            prop_assert!(records.count() <= 4096);
        }
    }
}

/// The other implementation's view of batches.
mod oracle {
    use bytes::BytesMut;
    use kafka_protocol::indexmap::IndexMap;
    use kafka_protocol::protocol::StrBytes;
    use kafka_protocol::records as theirs;

    use super::*;

    fn their_record(at: usize, draft: &Draft) -> theirs::Record {
        let headers: IndexMap<_, _> = (draft.headers().into_iter())
            .map(|header| (StrBytes::try_from(header.key).unwrap(), header.value))
            .collect();
        theirs::Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: 5,
            producer_epoch: 1,
            timestamp_type: theirs::TimestampType::Creation,
            offset: at as i64,
            sequence: 100 + at as i32,
            timestamp: draft.timestamp,
            key: draft.key.clone().map(Bytes::from),
            value: draft.value.clone().map(Bytes::from),
            headers,
        }
    }

    proptest! {
        // Goal: what another implementation writes is valid to us and reads the same.
        #[test]
        fn their_batches_are_ours(drafts in drafts()) {
            let records: Vec<_> = drafts.iter().enumerate().map(|(at, draft)| their_record(at, draft)).collect();
            let mut out = BytesMut::new();
            let options = theirs::RecordEncodeOptions { version: 2, compression: theirs::Compression::None };
            theirs::RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
            let batch = out.freeze();
            let valid = check(&batch, &rules()).unwrap();
            prop_assert_eq!((valid.header.producer_id, valid.header.producer_epoch), (5, 1));
            prop_assert_eq!(valid.header.base_sequence, 100);
            let expected: Vec<Record> = drafts.iter().enumerate().map(|(at, draft)| draft.record(at)).collect();
            prop_assert_eq!(super::records(&valid.bytes), expected);
        }

        // Goal: what we write, another implementation reads the same.
        #[test]
        fn our_batches_are_theirs(drafts in drafts()) {
            let mut builder = BatchBuilder::new(Compression::None).producer(5, 1, 100);
            for draft in &drafts {
                builder.push(draft.timestamp, draft.key.as_deref(), draft.value.as_deref(), &draft.headers());
            }
            let set = theirs::RecordBatchDecoder::decode(&mut builder.build()).unwrap();
            let expected: Vec<_> = drafts.iter().enumerate().map(|(at, draft)| their_record(at, draft)).collect();
            prop_assert_eq!(set.records, expected);
        }
    }
}
