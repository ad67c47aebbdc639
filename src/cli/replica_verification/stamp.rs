//! A moment as Kafka's tools write it, in UTC: 2026-11-26 12:00:00,000.

const DAY_MS: i64 = 86_400_000;

pub(super) fn stamp(ms: i64) -> String {
    let (year, month, day) = date(ms.div_euclid(DAY_MS));
    let ms = ms.rem_euclid(DAY_MS);
    let seconds = ms / 1_000;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02},{:03}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        ms % 1_000
    )
}

/// Of days since 1970-01-01, by the Gregorian calendar: years are counted from March, so that the leap day comes last.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::stamp;
    use crate::cli::consumer_groups::time_ms;

    #[test]
    fn a_moment_is_written_as_it_is_read() {
        assert_eq!(stamp(0), "1970-01-01 00:00:00,000");
        for text in [
            "2000-02-29T23:59:59.999",
            "2000-03-01T12:30:15.250",
            "2026-11-26T12:00:00.001",
            "2100-12-31T00:00:00.000",
        ] {
            let written = stamp(time_ms(text).unwrap());
            assert_eq!(written, text.replace('T', " ").replace('.', ","));
        }
    }
}
