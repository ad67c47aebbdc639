//! Which partition of an internal topic keeps a group's or a transaction's state.

/// //= behaviour 46: abs(String.hashCode) % partitions, with Java's 32-bit hash over UTF-16 units, and 0 for the one
/// number whose absolute value does not fit
pub fn partition_of(id: &str, partitions: i32) -> i32 {
    let hash = id
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Java's own String.hashCode: positive, negative, beyond the basic plane, and the least number.
    #[test]
    fn ids_hash_as_in_java() {
        assert_eq!(partition_of("", 50), 0);
        assert_eq!(partition_of("a", 50), 97 % 50);
        assert_eq!(partition_of("hello", 50), 99_162_322 % 50);
        // -1_352_291_591: the mask of the low 31 bits would give another partition than the absolute value.
        assert_eq!(partition_of("credit", 50), 1_352_291_591 % 50);
        // hashCode of "polygenelubricants" is Integer.MIN_VALUE.
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        assert_eq!(partition_of("\u{1F600}", 1000), (0xD83D * 31 + 0xDE00) % 1000);
    }
}
