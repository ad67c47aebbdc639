//! Request and response headers, against the oracle and against what cannot be parsed.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as oracle;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use super::produce_fetch::joined;
use crate::wire::{
    ApiKey, HeaderError, RequestHeader, ResponseBody, is_flexible, is_response_header_flexible, parse_response,
};

/// Both header versions, with and without a client id, are read as the oracle wrote them, and written as it writes
/// them.
#[test]
fn request_headers_agree() {
    for flexible in [false, true] {
        for client_id in [None, Some(""), Some("a client of some name")] {
            let frame = oracle_header(flexible, client_id, b"the body");
            assert_eq!(RequestHeader::peek(&frame), Ok((ApiKey::METADATA, 9, -77)));

            let (header, body) = RequestHeader::parse(frame.clone(), flexible).expect("it is a header");
            assert_eq!(
                (header.api_key, header.api_version, header.correlation_id),
                (ApiKey::METADATA, 9, -77)
            );
            assert_eq!(header.client_id.as_deref(), client_id.map(str::as_bytes));
            assert_eq!(body, &b"the body"[..]);

            let written = joined(&header.frame(flexible, vec![body]));
            assert_eq!(written[..4], (frame.len() as i32).to_be_bytes());
            assert_eq!(written[4..], frame);
        }
    }
}

/// A header that ends too early is an error at every length, and none panics.
#[test]
fn short_request_headers_are_refused() {
    let frame = oracle_header(true, Some("client"), b"");
    for len in 0..frame.len() {
        let error = RequestHeader::parse(frame.slice(..len), true).expect_err("it is cut short");
        let expected = match len {
            0..8 => HeaderError::Short,
            8..16 => HeaderError::ClientId,
            _ => HeaderError::Tags,
        };
        assert_eq!(error, expected, "{len} bytes");
    }
}

/// A client id is text; a tag section has its tags in ascending order.
#[test]
fn malformed_request_headers_are_refused() {
    let ids = [0, 3, 0, 9, 0, 0, 0, 1];
    let parse = |rest: &[u8]| RequestHeader::parse([&ids, rest].concat().into(), true).map(drop);
    assert_eq!(parse(&[0, 1, 0xff, 0]), Err(HeaderError::ClientId));
    assert_eq!(parse(&[0xff, 0xff, 2, 5, 0, 5, 0]), Err(HeaderError::Tags));
    assert_eq!(
        parse(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        Err(HeaderError::Tags)
    );
    assert_eq!(parse(&[0xff, 0xff, 2, 5, 0, 6, 1, 9]), Ok(()));
}

/// What the broker frames, the oracle reads with nothing left over, and so do we.
#[test]
fn response_headers_agree() {
    for flexible in [false, true] {
        let slices = ResponseBody::one(Bytes::from_static(b"body")).frame(1234, flexible);
        let mut bytes = joined(&slices);
        let frame = bytes.split_off(4);
        assert_eq!(bytes[..], (frame.len() as i32).to_be_bytes());
        assert_eq!(
            parse_response(frame.clone(), flexible),
            Ok((1234, Bytes::from_static(b"body")))
        );

        let mut rest = frame;
        let header = oracle::ResponseHeader::decode(&mut rest, i16::from(flexible)).expect("the oracle reads it");
        assert_eq!((header.correlation_id, &rest[..]), (1234, &b"body"[..]));
    }
    assert_eq!(
        parse_response(Bytes::from_static(&[0, 0, 0]), false),
        Err(HeaderError::Short)
    );
    assert_eq!(
        parse_response(Bytes::from_static(&[0, 0, 0, 1]), true),
        Err(HeaderError::Tags)
    );
}

/// Which versions are flexible is the oracle's opinion too, for every message served; an unknown key never is.
#[test]
fn header_versions_agree() {
    macro_rules! same_headers {
        ($($name:ident: $key:ident, $versions:expr,
            $request:ident = $oracle_request:ident as $request_shape:ident,
            $response:ident = $oracle_response:ident as $response_shape:ident;)*) => {
            $(for version in $versions {
                same_header::<oracle::$oracle_request, oracle::$oracle_response>(ApiKey::$key, version);
            })*
        };
    }
    served!(same_headers);
    (3..=12)
        .for_each(|version| same_header::<oracle::ProduceRequest, oracle::ProduceResponse>(ApiKey::PRODUCE, version));
    (4..=17).for_each(|version| same_header::<oracle::FetchRequest, oracle::FetchResponse>(ApiKey::FETCH, version));
    assert!(!is_flexible(ApiKey(-1), i16::MAX));
}

/// //= KIP-511: the answer to ApiVersions never has a tag section in its header.
#[test]
fn api_versions_is_answered_with_the_oldest_header() {
    for version in 0..=4 {
        assert!(!is_response_header_flexible(ApiKey::API_VERSIONS, version));
    }
    assert!(is_response_header_flexible(ApiKey::METADATA, 9));
}

fn same_header<Request: HeaderVersion, Response: HeaderVersion>(key: ApiKey, version: i16) {
    assert_eq!(
        is_flexible(key, version),
        Request::header_version(version) == 2,
        "{key:?} {version}"
    );
    assert_eq!(
        is_response_header_flexible(key, version),
        Response::header_version(version) == 1,
        "{key:?} {version}"
    );
}

fn oracle_header(flexible: bool, client_id: Option<&'static str>, body: &[u8]) -> Bytes {
    let header = oracle::RequestHeader::default()
        .with_request_api_key(3)
        .with_request_api_version(9)
        .with_correlation_id(-77)
        .with_client_id(client_id.map(StrBytes::from_static_str));
    let mut bytes = BytesMut::new();
    header
        .encode(&mut bytes, if flexible { 2 } else { 1 })
        .expect("the oracle writes it");
    bytes.extend_from_slice(body);
    bytes.freeze()
}
