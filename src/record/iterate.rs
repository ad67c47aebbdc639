//! The records inside a batch, bounded on hostile input.
//!
//! `RecordViews` borrows: it allocates nothing and is what validation walks with. `Records` owns its buffer and yields
//! records whose keys and values are slices of it. Both stop for good at the first error, and report bytes left over
//! after the last announced record as one.
//!
//! ```text
//!   record   size varint │ attributes i8 │ timestamp delta varlong │ offset delta varint
//!            │ key len varint (-1 null), key │ value len varint (-1 null), value
//!            │ header count varint, then per header: key len varint, key │ value len varint (-1 null), value
//! ```
//!
//! Varints are zigzag, 7 bits a byte, lowest first. The size counts what follows it.

use bytes::{Buf, Bytes};

use super::build::{put_nullable, put_varlong};
use super::{BatchError, BatchHeader, Compression, HEADER_LEN};

/// Bytes of the longest varint (32 bits) and varlong (64 bits).
const VARINT_BYTES_MAX: usize = 5;
const VARLONG_BYTES_MAX: usize = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// Iterates over one batch; decompresses once, into one buffer of at most `max_len` bytes.
#[derive(Clone, Debug)]
pub struct Records {
    header: BatchHeader,
    rest: Bytes,
    left: i32,
}

impl Records {
    /// The records of one whole batch; `max_len` bounds what a compressed one may grow to.
    pub fn of(header: &BatchHeader, batch: Bytes, max_len: usize) -> Result<Records, BatchError> {
        if batch.len() < header.total_len() {
            return Err(BatchError::Short);
        }
        let packed = batch.slice(HEADER_LEN..header.total_len());
        match header.compression()? {
            Compression::None => Ok(Records::of_plain(header, packed)),
            codec => Ok(Records::of_plain(header, codec.decompress(&packed, max_len)?.into())),
        }
    }

    /// The records in `plain`: what follows the header, already decompressed.
    pub fn of_plain(header: &BatchHeader, plain: Bytes) -> Records {
        Records {
            header: *header,
            rest: plain,
            left: header.record_count,
        }
    }

    fn own(&self, view: &RecordView<'_>) -> Result<Record, BatchError> {
        let own = |bytes: &[u8]| self.rest.slice_ref(bytes);
        let mut headers = Vec::new();
        for header in view.headers() {
            let header = header?;
            headers.push(Header {
                key: own(header.key),
                value: header.value.map(own),
            });
        }
        Ok(Record {
            offset: self.header.base_offset.wrapping_add(i64::from(view.offset_delta)),
            // The time of the append replaces every record's own.
            timestamp: match self.header.is_log_append_time() {
                true => self.header.max_timestamp,
                false => view.timestamp(&self.header),
            },
            key: view.key.map(own),
            value: view.value.map(own),
            headers,
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut views = RecordViews {
            cursor: Cursor { rest: &self.rest },
            left: self.left,
        };
        let item = views.next()?.and_then(|view| self.own(&view));
        let (consumed, left) = (self.rest.len() - views.cursor.rest.len(), views.left);
        self.rest.advance(consumed);
        self.left = left;
        if item.is_err() {
            (self.rest, self.left) = (Bytes::new(), 0);
        }
        Some(item)
    }
}

/// One record, borrowed from plain bytes. Its headers are known to be well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    pub offset_delta: i32,
    pub timestamp_delta: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    header_count: i32,
    header_bytes: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// The producer's time of this record in a batch with this header.
    pub fn timestamp(&self, header: &BatchHeader) -> i64 {
        header.base_timestamp.wrapping_add(self.timestamp_delta)
    }

    /// Writes the record behind `out`, its time given as another distance from the base. `scratch` is overwritten.
    pub(super) fn put(&self, timestamp_delta: i64, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        scratch.clear();
        scratch.push(0); // attributes: none are defined
        put_varlong(scratch, timestamp_delta);
        put_varlong(scratch, i64::from(self.offset_delta));
        put_nullable(scratch, self.key);
        put_nullable(scratch, self.value);
        put_varlong(scratch, i64::from(self.header_count));
        scratch.extend_from_slice(self.header_bytes);
        put_varlong(out, scratch.len() as i64);
        out.extend_from_slice(scratch);
    }

    pub fn headers(&self) -> HeaderViews<'a> {
        HeaderViews {
            cursor: Cursor {
                rest: self.header_bytes,
            },
            left: self.header_count,
        }
    }
}

/// Iterates over the records in plain bytes without allocating.
#[derive(Clone, Debug)]
pub struct RecordViews<'a> {
    cursor: Cursor<'a>,
    left: i32,
}

impl<'a> RecordViews<'a> {
    pub fn new(plain: &'a [u8], record_count: i32) -> RecordViews<'a> {
        RecordViews {
            cursor: Cursor { rest: plain },
            left: record_count,
        }
    }
}

impl<'a> Iterator for RecordViews<'a> {
    type Item = Result<RecordView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match self.left {
            0 if self.cursor.rest.is_empty() => return None,
            0 => Err(BatchError::Record("bytes are left after the last record")),
            ..0 => Err(BatchError::Record("the record count is negative")),
            1.. => self.cursor.record().map_err(BatchError::Record),
        };
        match item {
            Ok(_) => self.left -= 1,
            Err(_) => *self = RecordViews::new(&[], 0),
        }
        Some(item)
    }
}

/// A record's header, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderView<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// Iterates over a record's headers.
#[derive(Clone, Debug)]
pub struct HeaderViews<'a> {
    cursor: Cursor<'a>,
    left: i32,
}

impl<'a> Iterator for HeaderViews<'a> {
    type Item = Result<HeaderView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        let item = self.cursor.header().map_err(BatchError::Record);
        self.left = if item.is_ok() { self.left - 1 } else { 0 };
        Some(item)
    }
}

/// What is wrong with a record: two words rather than a `BatchError`, so that a varint comes back in registers.
type Malformed = &'static str;

/// What is left to read.
#[derive(Clone, Debug)]
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    #[inline]
    fn record(&mut self) -> Result<RecordView<'a>, Malformed> {
        let size = usize::try_from(self.varint()?).map_err(|_| "the size is negative")?;
        let mut body = Cursor { rest: self.take(size)? };
        body.take(1)?; // attributes: none are defined
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = body.nullable()?;
        let value = body.nullable()?;
        let header_count = body.varint()?;
        if header_count < 0 {
            return Err("the header count is negative");
        }
        let header_bytes = body.rest;
        // Every header takes two bytes or more, so a count beyond the bytes ends this loop by itself.
        for _ in 0..header_count {
            body.header()?;
        }
        if !body.rest.is_empty() {
            return Err("the size is larger than the content");
        }
        Ok(RecordView {
            offset_delta,
            timestamp_delta,
            key,
            value,
            header_count,
            header_bytes,
        })
    }

    fn header(&mut self) -> Result<HeaderView<'a>, Malformed> {
        let key = self.nullable()?.ok_or("a header key is null")?;
        Ok(HeaderView {
            key,
            value: self.nullable()?,
        })
    }

    /// Bytes after their length, where -1 stands for null.
    #[inline]
    fn nullable(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.varint()? {
            -1 => Ok(None),
            ..-1 => Err("a length is negative"),
            len @ 0.. => self.take(len as usize).map(Some),
        }
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or("it is cut short")?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn varint(&mut self) -> Result<i32, Malformed> {
        let raw = self.unsigned(VARINT_BYTES_MAX)?;
        let raw = u32::try_from(raw).map_err(|_| "a varint is too long")?;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    #[inline]
    fn varlong(&mut self) -> Result<i64, Malformed> {
        let raw = self.unsigned(VARLONG_BYTES_MAX)?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Most varints of a record are one byte, nearly all others two.
    #[inline]
    fn unsigned(&mut self, bytes_max: usize) -> Result<u64, Malformed> {
        match *self.rest {
            [low @ ..0x80, ref rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(low))
            }
            [low, high @ ..0x80, ref rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(low & 0x7f) | u64::from(high) << 7)
            }
            _ => self.unsigned_long(bytes_max),
        }
    }

    fn unsigned_long(&mut self, bytes_max: usize) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (at, &byte) in self.rest.iter().take(bytes_max).enumerate() {
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for the 64th bit only.
            if at == VARLONG_BYTES_MAX - 1 && bits > 1 {
                return Err("a varint is too long");
            }
            value |= bits << (7 * at);
            if byte & 0x80 == 0 {
                self.take(at + 1)?;
                return Ok(value);
            }
        }
        Err(if self.rest.len() < bytes_max {
            "it is cut short"
        } else {
            "a varint is too long"
        })
    }
}
