//! Amounts of resources: `1`, `"1000m"` and `"1.0"` are one amount.

use serde_json::{Map, Value};

/// What suffixes stand for: a power of ten, or a power of two.
const TENS: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];
const TWOS: [(&str, u32); 6] = [
    ("Ki", 10),
    ("Mi", 20),
    ("Gi", 30),
    ("Ti", 40),
    ("Pi", 50),
    ("Ei", 60),
];
/// The unit that everything is counted in, as a power of ten; the API knows none smaller.
const UNIT: i32 = -9;

/// `map` with every amount in the same unit. What is no amount stays as it is.
pub(super) fn unify(map: Map<String, Value>) -> Value {
    let unified = map.into_iter().map(|(key, value)| {
        let text = match &value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let value = nanos(&text).map_or(value, |n| format!("{n}n").into());
        (key, value)
    });
    Value::Object(unified.collect())
}

/// Whether two texts are one amount.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    a == b || nanos(a).is_some_and(|n| nanos(b) == Some(n))
}

/// The amount in billionths, or None where `text` is none or too large to count.
pub(super) fn nanos(text: &str) -> Option<i128> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && !['.', '+', '-'].contains(&c))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let fraction = i32::try_from(fraction.len()).ok()?;
    if let Some((_, power)) = TWOS.iter().find(|(s, _)| *s == suffix) {
        return scale(digits.checked_mul(1 << power)?, -fraction - UNIT);
    }
    let power = match TENS.iter().find(|(s, _)| *s == suffix) {
        Some((_, power)) => *power,
        None => suffix.strip_prefix(['e', 'E'])?.parse().ok()?,
    };
    scale(digits, power.checked_sub(fraction)? - UNIT)
}

/// `digits` times ten to the `power`; rounds away what is below the unit.
fn scale(digits: i128, power: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    if power >= 0 {
        digits.checked_mul(factor)
    } else {
        Some(digits / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_counts_the_same_thing() {
        for text in ["1", "1.0", "1000m", "1e0", "1000000000n", "+1"] {
            assert_eq!(nanos(text), Some(1_000_000_000), "{text}");
        }
        assert_eq!(nanos("1Ki"), nanos("1024"));
        assert_eq!(nanos("1.5Gi"), nanos("1536Mi"));
        assert_eq!(nanos("-2k"), nanos("-2000"));
        assert_eq!(nanos("1E"), nanos("1e18"));
    }

    #[test]
    fn what_is_no_amount_is_left_alone() {
        for text in [
            "",
            "m",
            "one",
            "1x",
            "1e",
            "1.2.3",
            "9e99",
            "e2147483647",
            "1e-2147483648",
        ] {
            assert_eq!(nanos(text), None, "{text}");
        }
    }
}
