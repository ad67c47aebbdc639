//! A `.tar.gz` in memory: regular files only, in the form that every tar reads (POSIX ustar).

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

const BLOCK: usize = 512;
/// The longest name that fits into a header's first field.
const NAME_BYTES_MAX: usize = 100;

pub(super) struct Archive {
    out: GzEncoder<Vec<u8>>,
    modified: u64,
}

impl Archive {
    /// `modified`: the time of every file, in seconds since 1970.
    pub(super) fn new(modified: u64) -> Archive {
        Archive {
            out: GzEncoder::new(Vec::new(), Compression::default()),
            modified,
        }
    }

    pub(super) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.out.write_all(&header(name, content.len(), self.modified)?)?;
        self.out.write_all(content)?;
        let padding = content.len().next_multiple_of(BLOCK) - content.len();
        self.out.write_all(&[0; BLOCK][..padding])
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.finish()
    }
}

/// | name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 | type 1 | link 100 | "ustar\0" 6 | "00" 2 | zeros |
fn header(name: &str, len: usize, modified: u64) -> io::Result<[u8; BLOCK]> {
    if name.len() > NAME_BYTES_MAX || name.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "name does not fit"));
    }
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{len:011o}\0"));
    put(136, &format!("{modified:011o}\0"));
    put(148, "        "); // the checksum counts its own field as blanks
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::{Archive, BLOCK, header};

    #[test]
    fn names_that_do_not_fit_are_refused() {
        assert!(header("", 0, 0).is_err());
        assert!(header(&"n".repeat(101), 0, 0).is_err());
        assert_eq!(header("a", 0o17, 0).unwrap()[124..136], *b"00000000017\0");
    }

    #[test]
    fn files_are_padded_to_blocks() {
        let mut archive = Archive::new(0);
        archive.add("a", &[1; BLOCK + 1]).unwrap();
        archive.add("empty", b"").unwrap();
        let packed = archive.finish().unwrap();
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut plain).unwrap();
        assert_eq!(plain.len(), BLOCK + 2 * BLOCK + BLOCK + 2 * BLOCK);
    }
}
