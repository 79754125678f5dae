//! Values of flags that are written alike everywhere.

use std::time::Duration;

use clap::ValueEnum;

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people at a terminal.
    Human,
}

/// A number that is at least 1.
///
/// # Errors
/// What is wrong with it.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err(String::from("must be at least 1")),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("not a number: {error}")),
    }
}

/// Accepts "90s", "10m", "1h30m", "500ms".
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    let duration = Duration::try_from(span).map_err(|_| String::from("must not be negative"))?;
    if duration.is_zero() {
        Err(String::from("must not be zero"))
    } else {
        Ok(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_write_them() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for text in ["0s", "-1s", "soon", ""] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_is_no_number_of_workers() {
        assert_eq!(positive("8"), Ok(8));
        assert!(positive("0").is_err() && positive("-1").is_err() && positive("x").is_err());
    }
}
