//! Draws random messages from a supply of random bytes. Drawing from bytes rather than from a generator lets proptest
//! shrink a failing message by shrinking the bytes.

use bytes::{BufMut, BytesMut};

use crate::wire::shape::{Row, Shape};

/// Random bytes; when they run out, zeros: every message ends.
pub(super) struct Entropy<'a>(pub(super) &'a [u8]);

impl Entropy<'_> {
    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub(super) fn bool(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number of elements: small, and 0 once the bytes are used up.
    pub(super) fn count(&mut self) -> usize {
        usize::from(self.byte() % 4)
    }

    pub(super) fn i16(&mut self) -> i16 {
        i16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(super) fn i32(&mut self) -> i32 {
        i32::from_be_bytes(std::array::from_fn(|_| self.byte()))
    }

    pub(super) fn i64(&mut self) -> i64 {
        i64::from_be_bytes(std::array::from_fn(|_| self.byte()))
    }

    pub(super) fn id(&mut self) -> [u8; 16] {
        std::array::from_fn(|_| self.byte())
    }

    /// Up to 300 letters, so that compact lengths of one byte and of two both occur.
    pub(super) fn text(&mut self) -> String {
        let len = if self.byte() > 240 {
            300
        } else {
            u16::from(self.byte() % 12)
        };
        (0..len).map(|_| char::from(b'a' + self.byte() % 26)).collect()
    }

    pub(super) fn maybe<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.bool().then(|| draw(self))
    }

    pub(super) fn several<T>(&mut self, mut draw: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.count()).map(|_| draw(self)).collect()
    }
}

/// A message of this shape and version, as its sender would write it.
pub(super) fn draw(entropy: &mut Entropy<'_>, shape: &Shape, flexible: bool, version: i16) -> BytesMut {
    let mut drawn = Drawn {
        bytes: BytesMut::new(),
        flexible,
        version,
    };
    drawn.field(entropy, shape);
    drawn.bytes
}

struct Drawn {
    bytes: BytesMut,
    flexible: bool,
    version: i16,
}

impl Drawn {
    fn field(&mut self, entropy: &mut Entropy<'_>, shape: &Shape) {
        match shape {
            Shape::Fixed(len) => (0..*len).for_each(|_| self.bytes.put_u8(entropy.byte())),
            Shape::Bool => self.bytes.put_u8(entropy.byte() & 1),
            Shape::String => {
                let text = entropy.text();
                self.len(Some(text.len()), 2);
                self.bytes.put_slice(text.as_bytes());
            }
            Shape::Bytes => {
                let text = entropy.text();
                self.len(Some(text.len()), 4);
                self.bytes.put_slice(text.as_bytes());
            }
            Shape::NullableString if entropy.bool() => self.field(entropy, &Shape::String),
            Shape::NullableString => self.len(None, 2),
            Shape::Array(element) => {
                let count = entropy.count();
                self.len(Some(count), 4);
                (0..count).for_each(|_| self.field(entropy, element));
            }
            Shape::NullableArray(element) if entropy.bool() => self.field(entropy, &Shape::Array(element)),
            Shape::NullableArray(_) => self.len(None, 4),
            Shape::Struct(rows) => self.rows(entropy, rows),
            Shape::NullableStruct(rows) if entropy.bool() => {
                self.bytes.put_i8(1);
                self.rows(entropy, rows);
            }
            Shape::NullableStruct(_) => self.bytes.put_i8(-1),
            Shape::Tagged(..) => {}
        }
    }

    fn rows(&mut self, entropy: &mut Entropy<'_>, rows: &[Row]) {
        let version = self.version;
        let present = || {
            rows.iter()
                .filter(|(from, to, _)| (*from..=*to).contains(&version))
                .map(|(_, _, shape)| shape)
        };
        present().for_each(|shape| self.field(entropy, shape));
        if self.flexible {
            let tagged = present().filter_map(|shape| match shape {
                Shape::Tagged(tag, shape) => Some((*tag, *shape)),
                _ => None,
            });
            let fields: Vec<_> = tagged
                .filter_map(|(tag, shape)| Some((tag, self.tagged(entropy, shape)?)))
                .collect();
            self.varint(fields.len() as u32);
            for (tag, field) in fields {
                self.varint(tag);
                self.varint(field.len() as u32);
                self.bytes.put_slice(&field);
            }
        }
    }

    /// A tagged field that is not its default: a default is left out by whoever writes it.
    fn tagged(&self, entropy: &mut Entropy<'_>, shape: &Shape) -> Option<BytesMut> {
        let field = draw(entropy, shape, self.flexible, self.version);
        let is_default = match shape {
            Shape::Array(_) => field[..] == [1],
            _ => field.iter().all(|byte| *byte == 0) || field.iter().all(|byte| *byte == 0xff),
        };
        (!is_default).then_some(field)
    }

    /// A length of `width` bytes, or compact.
    fn len(&mut self, len: Option<usize>, width: usize) {
        match (self.flexible, width) {
            (true, _) => self.varint(len.map_or(0, |len| len as u32 + 1)),
            (false, 2) => self.bytes.put_i16(len.map_or(-1, |len| len as i16)),
            (false, _) => self.bytes.put_i32(len.map_or(-1, |len| len as i32)),
        }
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.put_u8(value as u8);
    }
}
