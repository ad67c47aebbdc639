//! Robust statistics of few, noisy measurements: medians, and bootstrap intervals of the median of pair ratios.

use crate::engine::random::Random;

/// A median with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    pub count: usize,
}

const RESAMPLES: usize = 5_000;
const SEED: u64 = 95;

pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The percentile bootstrap: always the same answer for the same values.
pub fn estimate(values: &[f64]) -> Option<Estimate> {
    let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let centre = median(&values)?;
    let mut random = Random::new(SEED);
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let drawn: Vec<f64> = values
                .iter()
                .map(|_| values[random.below(values.len() as u64) as usize])
                .collect();
            median(&drawn)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    let at = |quantile: f64| medians[((medians.len() - 1) as f64 * quantile).round() as usize];
    Some(Estimate {
        median: centre,
        low: at(0.025),
        high: at(0.975),
        count: values.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[f64::NAN]), None);
    }

    #[test]
    fn the_interval_holds_the_median_and_narrows_with_agreement() {
        let wide = estimate(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).unwrap();
        assert!(wide.low <= wide.median && wide.median <= wide.high);
        assert!(wide.high - wide.low > 1.0);
        let narrow = estimate(&[2.0, 2.0, 2.0, 2.01]).unwrap();
        assert!(narrow.high - narrow.low < 0.02);
    }

    #[test]
    fn one_wild_value_does_not_move_the_median() {
        assert_eq!(estimate(&[2.0, 2.1, 1.9, 50.0, 2.0]).unwrap().median, 2.0);
    }
}
