//! Amounts such as `500m` or `1Gi`: exact, and in the form that Kubernetes gives them.

use std::fmt;

/// Billionths in one.
pub const NANOS: i128 = 1_000_000_000;

/// An amount in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    nanos: i128,
    form: Form,
}

/// How an amount is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Decimal,
    Binary,
    Exponent,
}

const DECIMAL: [(&str, i32); 10] = [
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

const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    /// Reads an amount; None for what is none. Parts of a billionth are rounded up.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at_checked(end)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let is_empty = whole.is_empty() && part.is_empty();
        if is_empty || part.contains('.') || number.len() > 30 {
            return None;
        }
        let digits = format!("{whole}{part}").parse::<i128>().ok()?;
        let (scale, form) = unit(suffix)?;
        let divisor = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
        let scaled = digits.checked_mul(scale)?;
        let nanos = scaled / divisor + i128::from(scaled % divisor != 0);
        let nanos = if negative { -nanos } else { nanos };
        Some(Self { nanos, form })
    }

    /// So many billionths, to be written with `k`, `M` and so on.
    pub fn decimal(nanos: i128) -> Self {
        let form = Form::Decimal;
        Self { nanos, form }
    }

    /// So many billionths, to be written with `Ki`, `Mi` and so on.
    pub fn binary(nanos: i128) -> Self {
        let form = Form::Binary;
        Self { nanos, form }
    }

    /// In billionths.
    pub fn nanos(self) -> i128 {
        self.nanos
    }

    /// Rounded up to whole multiples of `nanos`.
    #[must_use]
    pub fn round_up(self, nanos: i128) -> Self {
        let rest = self.nanos.rem_euclid(nanos);
        let missing = if rest == 0 { 0 } else { nanos - rest };
        Self {
            nanos: self.nanos.saturating_add(missing),
            form: self.form,
        }
    }
}

/// How many billionths one of the unit is.
fn unit(suffix: &str) -> Option<(i128, Form)> {
    let power = |exponent: i32| {
        let exponent = u32::try_from(exponent.checked_add(9)?).ok()?;
        10_i128.checked_pow(exponent)
    };
    if let Some((_, exponent)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Some((power(*exponent)?, Form::Decimal));
    }
    if let Some(n) = BINARY.iter().position(|known| *known == suffix) {
        let times = 1024_i128.checked_pow(u32::try_from(n).ok()? + 1)?;
        return Some((times * NANOS, Form::Binary));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
    Some((power(exponent)?, Form::Exponent))
}

/// As Kubernetes writes it: whole numbers of the largest unit.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.nanos % NANOS == 0;
        if self.form == Form::Binary && whole && self.nanos.abs() >= 1024 * NANOS {
            let mut value = self.nanos / NANOS;
            let mut unit = "";
            for next in BINARY {
                if value % 1024 != 0 {
                    break;
                }
                (value, unit) = (value / 1024, next);
            }
            return write!(f, "{value}{unit}");
        }
        let mut value = self.nanos;
        let mut unit = ("n", -9);
        for next in DECIMAL.into_iter().skip(1) {
            if value % 1000 != 0 || value == 0 {
                break;
            }
            (value, unit) = (value / 1000, next);
        }
        match (value, self.form, unit.1) {
            (0, ..) => f.write_str("0"),
            (_, Form::Exponent, 0) => write!(f, "{value}"),
            (_, Form::Exponent, exponent) => write!(f, "{value}e{exponent}"),
            (_, Form::Decimal | Form::Binary, _) => write!(f, "{value}{}", unit.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_kubernetes_does() {
        for (text, written) in [
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("100u", "100u"),
            ("1024Mi", "1Gi"),
            ("1000Mi", "1000Mi"),
            ("0.5Gi", "512Mi"),
            ("512", "512"),
            ("1000M", "1G"),
            ("1e3", "1e3"),
            ("1500e-3", "1500e-3"),
            ("0Mi", "0"),
            (".5", "500m"),
            ("1Ei", "1Ei"),
            ("-2k", "-2k"),
        ] {
            let quantity = Quantity::parse(text).expect(text);
            assert_eq!(quantity.to_string(), written, "{text}");
        }
    }

    #[test]
    fn nonsense_is_no_amount() {
        for text in [
            "", ".", "m", "1.2.3", "1x", "1 Gi", "0x1", "--1", "1e99999", "ü",
        ] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
        assert_eq!(Quantity::parse(&"9".repeat(31)), None);
    }

    #[test]
    fn what_is_rounded_is_never_less() {
        let up = |text: &str, to| Quantity::parse(text).map(|q| q.round_up(to).to_string());
        assert_eq!(up("100u", 1_000_000).as_deref(), Some("1m"));
        assert_eq!(up("2m", 1_000_000).as_deref(), Some("2m"));
        assert_eq!(up("0.1", NANOS).as_deref(), Some("1"));
    }
}
