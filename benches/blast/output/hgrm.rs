//! Histograms as files that other tools read: `.hgrm` for the HdrHistogram plotter, and the V2 encoding, which the interval
//! log and our JSON hold in base64.
//!
//! ```text
//!   V2      cookie i32 = 0x1c849313 | payload bytes i32 | offset i32 = 0 | digits i32 | lowest i64 | highest i64
//!           | ratio f64 = 1.0 | counts as zigzag LEB128; a negative number is that many zeros
//!   packed  cookie i32 = 0x1c849314 | packed bytes i32 | zlib of the above
//! ```

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use hdrhistogram::Histogram;

const COOKIE: i32 = 0x1c84_9313;
const COOKIE_PACKED: i32 = 0x1c84_9314;
/// Rows of the plotter's file per halving of the distance to 100 %.
const TICKS_PER_HALF: u32 = 5;
const US_PER_S: f64 = 1e6;

/// Percentiles in milliseconds from a histogram in microseconds, as the plotter reads them.
pub fn hgrm(histogram: &Histogram<u64>) -> String {
    let ms = |us: f64| us / 1_000.0;
    let mut text = format!(
        "{:>12} {:>17} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut below = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF) {
        below += step.count_since_last_iteration();
        let (value, quantile) = (ms(step.value_iterated_to() as f64), step.quantile_iterated_to());
        let _ = match quantile < 1.0 {
            true => writeln!(
                text,
                "{value:12.3} {quantile:17.15} {below:10} {:14.2}",
                1.0 / (1.0 - quantile)
            ),
            false => writeln!(text, "{value:12.3} {quantile:17.15} {below:10}"),
        };
    }
    let buckets = histogram.buckets();
    let sub_buckets = 2u64 << (10f64.powi(i32::from(histogram.sigfig())).log2().ceil() as u32);
    let _ = writeln!(
        text,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n#[Max     = {:12.3}, Total count    = {:12}]\n\
         #[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]",
        ms(histogram.mean()),
        ms(histogram.stdev()),
        ms(histogram.max() as f64),
        histogram.len(),
    );
    text
}

/// One line per second in HdrHistogram's log format, version 1.3; times in seconds, values in microseconds.
pub fn interval_log(seconds: &[Histogram<u64>]) -> String {
    let mut text = String::from(
        "#[Histogram log format version 1.3]\n\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
    );
    for (second, histogram) in seconds.iter().enumerate() {
        let max_s = histogram.max() as f64 / US_PER_S;
        let _ = writeln!(text, "{second}.000,1.000,{max_s:.6},{}", v2_base64(histogram));
    }
    text
}

/// The packed V2 encoding in base64, as every HdrHistogram library decodes it.
pub fn v2_base64(histogram: &Histogram<u64>) -> String {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
    packer
        .write_all(&v2(histogram))
        .expect("writing into memory does not fail");
    let packed = packer.finish().expect("writing into memory does not fail");
    let mut bytes = COOKIE_PACKED.to_be_bytes().to_vec();
    bytes.extend_from_slice(&(packed.len() as i32).to_be_bytes());
    bytes.extend_from_slice(&packed);
    STANDARD.encode(bytes)
}

fn v2(histogram: &Histogram<u64>) -> Vec<u8> {
    let counts = counts(histogram);
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&COOKIE.to_be_bytes());
    bytes.extend_from_slice(&(counts.len() as i32).to_be_bytes());
    bytes.extend_from_slice(&0i32.to_be_bytes());
    bytes.extend_from_slice(&i32::from(histogram.sigfig()).to_be_bytes());
    bytes.extend_from_slice(&(histogram.low() as i64).to_be_bytes());
    bytes.extend_from_slice(&(histogram.high() as i64).to_be_bytes());
    bytes.extend_from_slice(&1f64.to_be_bytes());
    bytes.extend_from_slice(&counts);
    bytes
}

/// The counts from the lowest to the highest that is not 0.
fn counts(histogram: &Histogram<u64>) -> Vec<u8> {
    let (mut bytes, mut zeros) = (Vec::new(), 0i64);
    // Every bucket in order: this iterator stops behind the last that holds something.
    for bucket in histogram.iter_all() {
        match bucket.count_at_value() {
            0 => zeros += 1,
            count => {
                match zeros {
                    0 => {}
                    1 => put_zigzag(&mut bytes, 0),
                    run => put_zigzag(&mut bytes, -run),
                }
                zeros = 0;
                put_zigzag(&mut bytes, count as i64);
            }
        }
    }
    bytes
}

/// ZigZag LEB128 of at most 9 bytes: the ninth holds 8 bits.
fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    for _ in 0..8 {
        if raw < 0x80 {
            break;
        }
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::recorder::new_histogram;

    fn sample() -> Histogram<u64> {
        let mut histogram = new_histogram();
        for value in [1, 1, 2, 700, 4_000, 1_000_000] {
            histogram.record(value).unwrap();
        }
        histogram
    }

    #[test]
    fn the_plotters_file_ends_at_one_with_the_total_count() {
        let text = hgrm(&sample());
        let last = text.lines().rfind(|line| !line.starts_with('#')).unwrap();
        let fields: Vec<_> = last.split_whitespace().collect();
        assert_eq!(fields[1..], ["1.000000000000000", "6"]);
        assert!(text.contains("Total count    =            6]"));
    }

    /// The expected bytes follow from the format: header, then 0 at value 0, 2 at 1, 1 at 2, and so on.
    #[test]
    fn counts_are_encoded_with_their_gaps() {
        let bytes = v2(&sample());
        assert_eq!(bytes[..4], COOKIE.to_be_bytes());
        assert_eq!(bytes[4..8], (bytes.len() as i32 - 40).to_be_bytes());
        // a zero, two at 1, one at 2, 697 zeros, one at 700
        assert_eq!(bytes[40..46], [0, 4, 2, 0xf1, 0x0a, 2]);
    }

    #[test]
    fn an_interval_is_a_line() {
        assert_eq!(interval_log(&[sample(), sample()]).lines().count(), 4);
    }
}
