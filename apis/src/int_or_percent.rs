//! `3` or `"40%"`: parsed once, rounded in one place.

use std::fmt;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A whole number of Pods, or a share of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntOrPercent {
    /// So many Pods.
    Int(u32),
    /// So many hundredths of the whole; 0 to 100.
    Percent(u8),
}

/// Which way a share that is not a whole Pod goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Towards more Pods.
    Up,
    /// Towards fewer Pods.
    Down,
}

impl IntOrPercent {
    /// Parses what the API carries.
    ///
    /// # Errors
    /// A sentence that completes "spec.x: …" when the value is negative, or a text that is not a
    /// whole percentage from `0%` to `100%`.
    pub fn parse(value: &IntOrString) -> Result<Self, String> {
        match value {
            IntOrString::Int(n) => u32::try_from(*n)
                .map(Self::Int)
                .map_err(|_| format!("{n} is negative; use a number of Pods or a percentage")),
            IntOrString::String(text) => text
                .strip_suffix('%')
                .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|digits| digits.parse::<u8>().ok())
                .filter(|percent| *percent <= 100)
                .map(Self::Percent)
                .ok_or_else(|| {
                    format!(
                        "{text:?} is neither a number nor a whole percentage \"0%\" to \"100%\""
                    )
                }),
        }
    }

    /// The number of Pods this means out of `total`.
    pub fn of(self, total: u32, round: Round) -> u32 {
        match self {
            Self::Int(n) => n,
            Self::Percent(percent) => {
                let hundredths = u64::from(percent) * u64::from(total);
                let whole = match round {
                    Round::Up => hundredths.div_ceil(100),
                    Round::Down => hundredths / 100,
                };
                u32::try_from(whole).unwrap_or(u32::MAX)
            }
        }
    }

    /// As [`Self::of`] rounded down, but a share above zero is never rounded to nothing: a budget
    /// of 5 % of 6 Pods would otherwise block for ever.
    pub fn budget_of(self, total: u32, round: Round) -> u32 {
        let pods = self.of(total, round);
        if self.is_zero() || total == 0 {
            pods
        } else {
            pods.max(1)
        }
    }

    /// Whether it is literally `0` or `0%`.
    pub fn is_zero(self) -> bool {
        matches!(self, Self::Int(0) | Self::Percent(0))
    }
}

impl fmt::Display for IntOrPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => write!(f, "{n}"),
            Self::Percent(n) => write!(f, "{n}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &str) -> Result<IntOrPercent, String> {
        IntOrPercent::parse(&IntOrString::String(s.to_owned()))
    }

    #[test]
    fn numbers_and_whole_percentages_parse() {
        assert_eq!(
            IntOrPercent::parse(&IntOrString::Int(3)),
            Ok(IntOrPercent::Int(3))
        );
        assert_eq!(text("40%"), Ok(IntOrPercent::Percent(40)));
        assert_eq!(text("100%"), Ok(IntOrPercent::Percent(100)));
    }

    #[test]
    fn nonsense_is_an_error_and_never_a_zero() {
        for bad in [
            "", "%", "12.5%", "-1%", "+1%", "101%", "300%", "ten%", "5", " 5%", "5 %",
        ] {
            assert!(text(bad).is_err(), "{bad:?} must be refused");
        }
        assert!(IntOrPercent::parse(&IntOrString::Int(-1)).is_err());
    }

    #[test]
    fn rounding_goes_the_way_it_is_told() {
        let share = IntOrPercent::Percent(40);
        assert_eq!((share.of(6, Round::Up), share.of(6, Round::Down)), (3, 2));
        assert_eq!(IntOrPercent::Percent(100).of(u32::MAX, Round::Up), u32::MAX);
    }

    #[test]
    fn a_small_budget_is_never_rounded_to_nothing() {
        assert_eq!(IntOrPercent::Percent(5).budget_of(6, Round::Down), 1);
        assert_eq!(IntOrPercent::Percent(0).budget_of(6, Round::Down), 0);
        assert_eq!(IntOrPercent::Int(0).budget_of(6, Round::Down), 0);
        assert_eq!(IntOrPercent::Percent(5).budget_of(0, Round::Down), 0);
    }
}
