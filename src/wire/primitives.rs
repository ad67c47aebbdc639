//! The protocol's primitive types, for the codecs that are our own: Produce, Fetch, headers, coordinators' records.
//!
//! The [`Reader`] never panics on hostile input and never reserves memory on the word of a length alone: a length is
//! held against the bytes that are left, and the elements of one message against [`ELEMENTS_MAX`]. Strings and byte
//! fields come out as slices that share the message's buffer; whoever keeps one longer than the request copies it.

use bytes::{BufMut, Bytes, BytesMut};

/// How many array elements and tags (topics and partitions together) one message may hold. An element takes up to 24
/// times its wire size in memory, so without this a body of 100 MiB could ask for gigabytes.
pub const ELEMENTS_MAX: usize = 1 << 18;
/// The same of an answer, which comes from a broker that the user chose: the metadata of a million partitions fit.
pub const ANSWER_ELEMENTS_MAX: usize = 1 << 24;

/// What stops a message from being read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("message is cut short")]
    Short,
    #[error("a variable-length number does not end")]
    Varint,
    #[error("string is not UTF-8")]
    Utf8,
    #[error("a field that cannot be null is null")]
    Null,
    #[error("tag section is not valid")]
    Tags,
    #[error("more than {0} array elements in one message")]
    TooMany(usize),
    #[error("version {0} has no codec")]
    Version(i16),
}

/// A cursor over one message. `flexible` chooses between the two encodings of every string, byte field and array
/// (//= KIP-482: compact lengths are varints of length + 1, and each structure ends with a tag section).
pub struct Reader<'a> {
    body: &'a Bytes,
    at: usize,
    end: usize,
    elements_left: usize,
    elements_max: usize,
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub fn new(body: &'a Bytes, flexible: bool) -> Reader<'a> {
        Reader::bounded(body, flexible, ELEMENTS_MAX)
    }

    /// Of a message that may hold so many array elements and tags.
    pub fn bounded(body: &'a Bytes, flexible: bool, elements_max: usize) -> Reader<'a> {
        Reader {
            body,
            at: 0,
            end: body.len(),
            elements_left: elements_max,
            elements_max,
            flexible,
        }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.end - self.at
    }

    /// Everything that is left, as one slice.
    pub fn rest(self) -> Bytes {
        self.body.slice(self.at..self.end)
    }

    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub fn uuid(&mut self) -> Result<[u8; 16], DecodeError> {
        self.fixed()
    }

    pub fn skip(&mut self, len: usize) -> Result<(), DecodeError> {
        self.advance(len).map(drop)
    }

    pub fn string(&mut self) -> Result<Bytes, DecodeError> {
        self.nullable_string()?.ok_or(DecodeError::Null)
    }

    pub fn nullable_string(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let len = if self.flexible {
            self.compact_len()?
        } else {
            non_negative(i64::from(self.i16()?))
        };
        len.map(|len| self.utf8(len)).transpose()
    }

    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        self.nullable_bytes()?.ok_or(DecodeError::Null)
    }

    pub fn nullable_bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let len = if self.flexible {
            self.compact_len()?
        } else {
            non_negative(i64::from(self.i32()?))
        };
        len.map(|len| self.slice(len)).transpose()
    }

    /// An array whose elements take at least `element_bytes_min` bytes each. The one allocation is bounded by the bytes
    /// that are really there.
    pub fn array<T>(
        &mut self,
        element_bytes_min: usize,
        element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.nullable_array(element_bytes_min, element)?
            .ok_or(DecodeError::Null)
    }

    pub fn nullable_array<T>(
        &mut self,
        element_bytes_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let len = if self.flexible {
            self.compact_len()?
        } else {
            non_negative(i64::from(self.i32()?))
        };
        let Some(len) = len else { return Ok(None) };
        if len > self.remaining() / element_bytes_min {
            return Err(DecodeError::Short);
        }
        self.elements_left = self
            .elements_left
            .checked_sub(len)
            .ok_or(DecodeError::TooMany(self.elements_max))?;
        let mut elements = Vec::with_capacity(len);
        for _ in 0..len {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// The tag section of a flexible structure with no tag that we know; nothing at all in a version that is not
    /// flexible.
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        self.tags(|_, _| Ok(()))
    }

    /// The tag section: `known` gets each tag with a reader that is confined to the tag's own bytes, and may leave it
    /// unread.
    pub fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader<'a>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if !self.flexible {
            return Ok(());
        }
        let mut previous = None;
        for _ in 0..self.varint()? {
            self.count_elements(1)?;
            let tag = self.varint()?;
            if previous.is_some_and(|previous| tag <= previous) {
                return Err(DecodeError::Tags);
            }
            previous = Some(tag);
            let len = self.varint()? as usize;
            if len > self.remaining() {
                return Err(DecodeError::Tags);
            }
            let end = self.at + len;
            let mut field = Reader { end, ..*self };
            known(tag, &mut field)?;
            self.elements_left = field.elements_left;
            self.at = end;
        }
        Ok(())
    }

    /// An unsigned varint of 32 bits: at most five bytes, lowest seven bits first.
    pub fn varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.fixed::<1>()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint)
    }

    fn count_elements(&mut self, count: usize) -> Result<(), DecodeError> {
        self.elements_left = self
            .elements_left
            .checked_sub(count)
            .ok_or(DecodeError::TooMany(self.elements_max))?;
        Ok(())
    }

    /// A compact length: `None` for null, which is written as 0.
    fn compact_len(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(self.varint()?.checked_sub(1).map(|len| len as usize))
    }

    fn utf8(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        let bytes = self.slice(len)?;
        std::str::from_utf8(&bytes).map_err(|_| DecodeError::Utf8)?;
        Ok(bytes)
    }

    fn slice(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        let start = self.advance(len)?;
        Ok(self.body.slice(start..self.at))
    }

    /// Moves on by `len` bytes; says where they begin.
    fn advance(&mut self, len: usize) -> Result<usize, DecodeError> {
        if len > self.remaining() {
            return Err(DecodeError::Short);
        }
        let start = self.at;
        self.at += len;
        Ok(start)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self
            .body
            .get(self.at..self.end)
            .and_then(|rest| rest.first_chunk::<N>())
            .ok_or(DecodeError::Short)?;
        self.at += N;
        Ok(*bytes)
    }
}

/// The length of a field in the fixed-width encodings: every negative one means null, as in Kafka's own readers.
fn non_negative(len: i64) -> Option<usize> {
    usize::try_from(len).ok()
}

/// Collects a message as slices: small fields gather in one growing head, record data is passed through untouched.
pub struct Writer {
    head: BytesMut,
    slices: Vec<Bytes>,
    flexible: bool,
}

impl Writer {
    /// `head_bytes` is a guess of everything but the record data; a wrong one costs a reallocation, nothing else.
    pub fn new(flexible: bool, head_bytes: usize) -> Writer {
        Writer {
            head: BytesMut::with_capacity(head_bytes),
            slices: Vec::new(),
            flexible,
        }
    }

    pub fn finish(mut self) -> Vec<Bytes> {
        self.cut_head();
        self.slices
    }

    /// Everything as one piece.
    pub fn into_bytes(self) -> Bytes {
        let slices = self.finish();
        match slices.as_slice() {
            [one] => one.clone(),
            _ => slices.concat().into(),
        }
    }

    pub fn i8(&mut self, value: i8) {
        self.head.put_i8(value);
    }

    pub fn i16(&mut self, value: i16) {
        self.head.put_i16(value);
    }

    pub fn i32(&mut self, value: i32) {
        self.head.put_i32(value);
    }

    pub fn i64(&mut self, value: i64) {
        self.head.put_i64(value);
    }

    pub fn uuid(&mut self, value: [u8; 16]) {
        self.head.put_slice(&value);
    }

    pub fn string(&mut self, text: &[u8]) {
        if self.flexible {
            self.len(Some(text.len()));
            self.head.put_slice(text);
        } else {
            let text = fit_in_i16(text);
            self.head.put_i16(text.len() as i16);
            self.head.put_slice(text);
        }
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.len(Some(bytes.len()));
        self.head.put_slice(bytes);
    }

    pub fn nullable_string(&mut self, text: Option<&[u8]>) {
        match text {
            Some(text) => self.string(text),
            None if self.flexible => self.len(None),
            None => self.head.put_i16(-1),
        }
    }

    pub fn array<T>(&mut self, elements: &[T], mut element: impl FnMut(&mut Self, &T)) {
        self.len(Some(elements.len()));
        for each in elements {
            element(self, each);
        }
    }

    pub fn nullable_array<T>(&mut self, elements: Option<&[T]>, element: impl FnMut(&mut Self, &T)) {
        match elements {
            Some(elements) => self.array(elements, element),
            None => self.len(None),
        }
    }

    /// A byte field made of several slices, none of them copied. Its length is known beforehand, so nothing is patched.
    pub fn records(&mut self, slices: impl IntoIterator<Item = Bytes>, len: usize) {
        self.len(Some(len));
        if len > 0 {
            self.cut_head();
            self.slices.extend(slices.into_iter().filter(|slice| !slice.is_empty()));
        }
    }

    pub fn null_records(&mut self) {
        self.len(None);
    }

    /// The end of a structure without tagged fields.
    pub fn no_tags(&mut self) {
        if self.flexible {
            self.varint(0);
        }
    }

    /// The end of a structure: the tagged fields that are set, in ascending order of their tags.
    pub fn tags(&mut self, fields: &[(u32, Bytes)]) {
        self.varint(fields.len() as u32);
        for (tag, field) in fields {
            self.varint(*tag);
            self.varint(field.len() as u32);
            self.head.put_slice(field);
        }
    }

    /// The length of an array or a byte field (a compact string's is the same), or null.
    fn len(&mut self, len: Option<usize>) {
        let len = len.map(|len| i32::try_from(len).expect("what goes into one message is bounded far below 2 GiB"));
        match len {
            Some(len) if self.flexible => self.varint(len as u32 + 1),
            None if self.flexible => self.varint(0),
            len => self.head.put_i32(len.unwrap_or(-1)),
        }
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.head.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.head.put_u8(value as u8);
    }

    /// Puts what has gathered in the head behind the slices; the next bytes go into the rest of the same allocation.
    fn cut_head(&mut self) {
        if !self.head.is_empty() {
            self.slices.push(self.head.split().freeze());
        }
    }
}

/// A tagged field's bytes.
pub fn tag_field(write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::new(true, 32);
    write(&mut writer);
    writer.head.freeze()
}

/// The longest prefix that a two-byte length can announce. Names that reach an old version through a fetch session
/// opened by a newer one may be longer; no topic has such a name, so cutting it harms nobody, and a panic would.
fn fit_in_i16(text: &[u8]) -> &[u8] {
    if text.len() <= i16::MAX as usize {
        return text;
    }
    let limit = std::str::from_utf8(text).map_or(0, |text| text.floor_char_boundary(i16::MAX as usize));
    text.get(..limit).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length that no bytes back ends the read before anything is reserved or read for the first element.
    #[test]
    fn unbacked_array_lengths_are_refused_before_the_first_element() {
        for (flexible, body) in [(false, &[0, 0, 0, 3, 1, 1, 1, 1, 1][..]), (true, &[4, 1, 1, 1, 1, 1])] {
            let body = Bytes::copy_from_slice(body);
            let read = |element_bytes_min| {
                let mut elements = 0;
                let mut reader = Reader::new(&body, flexible);
                let read = reader.array(element_bytes_min, |reader| {
                    elements += 1;
                    reader.i8()
                });
                (read, elements)
            };
            assert_eq!(read(2), (Err(DecodeError::Short), 0));
            assert_eq!(read(1), (Ok(vec![1, 1, 1]), 3));
        }
    }

    /// Tags count as elements: a section of nothing but tags is as bounded as an array.
    #[test]
    fn tags_are_bounded_too() {
        let mut body = Writer::new(true, 0);
        body.varint(u32::MAX);
        (0..=ELEMENTS_MAX as u32).for_each(|tag| {
            body.varint(tag);
            body.varint(0);
        });
        let body = body.head.freeze();
        assert_eq!(
            Reader::new(&body, true).skip_tags(),
            Err(DecodeError::TooMany(ELEMENTS_MAX))
        );
    }

    /// A varint takes one byte per seven bits, and one that goes on for more than five bytes is refused.
    #[test]
    fn varints_are_read_as_written() {
        for value in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000, u32::MAX] {
            let mut writer = Writer::new(true, 0);
            writer.varint(value);
            let bytes = writer.head.freeze();
            assert_eq!(bytes.len(), (32 - value.leading_zeros()).div_ceil(7).max(1) as usize);
            assert_eq!(Reader::new(&bytes, true).varint(), Ok(value));
        }
        let endless = Bytes::from_static(&[0x80; 6]);
        assert_eq!(Reader::new(&endless, true).varint(), Err(DecodeError::Varint));
    }

    /// A name that is too long for an old version is cut between characters instead of breaking the message.
    #[test]
    fn strings_that_do_not_fit_are_cut_between_characters() {
        let text = "é".repeat(20_000);
        let mut writer = Writer::new(false, 0);
        writer.string(text.as_bytes());
        let bytes = writer.head.freeze();
        assert_eq!(bytes.len(), 2 + 32_766);
        assert_eq!(Reader::new(&bytes, false).string().map(|text| text.len()), Ok(32_766));
    }
}
