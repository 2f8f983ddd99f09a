//! A quick look at texts of which nearly all have none of many words.

/// Bits of a table: 8 KiB, which stay in the processor's nearest cache.
const BITS: u32 = 16;
const WORDS: usize = 1 << (BITS - 6);
/// What two tables multiply by, so that what falls together in one does not in the other.
const FACTORS: [u32; 2] = [0x9e37_79b1, 0x85eb_ca77];

/// A set of fragments, by the four bytes at their first and at their second place: one of the two stands at an even place of
/// every text that has the fragment, so that every other place is all that is looked at. Each look stands by itself, where
/// a state machine waits for the step before: that takes a sixth of the time.
pub(super) struct Sieve {
    tables: Box<[[u64; WORDS]; FACTORS.len()]>,
}

impl Sieve {
    /// A sieve for fragments of five bytes and more.
    pub(super) fn new(fragments: &[&str]) -> Self {
        let mut tables = Box::new([[0; WORDS]; FACTORS.len()]);
        for five in fragments.iter().filter_map(|fragment| fragment.as_bytes().first_chunk::<5>()) {
            let [first, second, third, fourth, fifth] = *five;
            for four in [[first, second, third, fourth], [second, third, fourth, fifth]].map(folded) {
                for (table, factor) in tables.iter_mut().zip(FACTORS) {
                    let bit = bit(four, factor);
                    table[bit / 64 % WORDS] |= 1 << (bit % 64);
                }
            }
        }
        Self { tables }
    }

    /// Whether a text may have one of the fragments, in whatever case; false where it certainly has none.
    pub(super) fn may_hold(&self, text: &[u8]) -> bool {
        let has = |four: u32, table: usize| {
            let bit = bit(four, FACTORS[table]);
            self.tables[table][bit / 64 % WORDS] >> (bit % 64) & 1 != 0
        };
        let mut rest = text;
        while let [first, second, third, fourth, ..] = rest {
            let four = folded([*first, *second, *third, *fourth]);
            if has(four, 0) && has(four, 1) {
                return true;
            }
            rest = &rest[2..];
        }
        false
    }
}

/// Four bytes. Letters of both cases are one, and a few other signs, too.
const fn folded(four: [u8; 4]) -> u32 {
    u32::from_le_bytes(four) | 0x2020_2020
}

/// The upper bits of a product are mixed best.
const fn bit(four: u32, factor: u32) -> usize {
    (four.wrapping_mul(factor) >> (u32::BITS - BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::super::words::{EXACT_LITERALS, FRAGMENTS, LITERALS};
    use super::*;

    #[test]
    fn no_word_falls_through() {
        let sieve = Sieve::new(FRAGMENTS);
        for word in LITERALS.iter().chain(EXACT_LITERALS) {
            for text in [
                word.to_string(),
                word.to_ascii_uppercase(),
                format!("x{word}"),
                format!("{word}x"),
                format!("xy{word}zz"),
            ] {
                assert!(sieve.may_hold(text.as_bytes()), "{text:?}");
            }
        }
    }

    #[test]
    fn fragments_are_long_enough_and_needed() {
        let lower: Vec<String> = LITERALS.iter().chain(EXACT_LITERALS).map(|word| word.to_ascii_lowercase()).collect();
        for fragment in FRAGMENTS {
            assert!(fragment.len() >= 5, "{fragment}");
            let fragment = fragment.to_ascii_lowercase();
            assert!(lower.iter().any(|word| word.contains(&fragment)), "{fragment}");
        }
    }

    #[test]
    fn ordinary_lines_are_left_out() {
        let sieve = Sieve::new(FRAGMENTS);
        for text in [
            "",
            "abc",
            "2020-07-08 20:00:00,123 INFO  [http-nio-8080-exec-1] c.e.s.CheckoutService : order placed for customer 17",
        ] {
            assert!(!sieve.may_hold(text.as_bytes()), "{text}");
        }
    }
}
