//! Chance, as far as there is any: a number that follows from texts.

/// A number from 0 to 99, the same for the same texts.
pub(crate) fn draw(seed: &str, set: &str) -> u8 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in seed.bytes().chain([0]).chain(set.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // The low bits of such a hash are poor; these depend on all of it.
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u8::try_from((hash >> 40) % 100).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_evenly() {
        let mut below_30 = 0;
        for pod in 0..10_000 {
            below_30 += u32::from(draw(&format!("uid-{pod}"), "log") < 30);
        }
        assert!((2_800..3_200).contains(&below_30), "{below_30}");
        assert_eq!(draw("a", "b"), draw("a", "b"));
    }
}
