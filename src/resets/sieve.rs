//! A quick look at texts of which nearly all have none of many words.

/// Bits of a place in the first table, of 16 KiB, and in the second: together they stay in the processor's nearest cache.
const BITS: [u32; 2] = [14, 13];
/// What they multiply by, so that what falls together in one does not in the other.
const FACTORS: [u32; 2] = [0x9e37_79b1, 0x85eb_ca77];

/// A set of fragments, by the four bytes at their first and at their second place: one of the two stands at an even place of
/// every text that has the fragment, so that every other place is all that is looked at. Each look stands by itself, where
/// a state machine waits for the step before: that takes a sixth of the time.
pub(super) struct Sieve {
    first: Box<[u8; 1 << BITS[0]]>,
    second: Box<[u8; 1 << BITS[1]]>,
}

impl Sieve {
    /// A sieve for fragments of five bytes and more.
    pub(super) fn new(fragments: &[&str]) -> Self {
        let mut sieve = Self { first: Box::new([0; 1 << BITS[0]]), second: Box::new([0; 1 << BITS[1]]) };
        for five in fragments.iter().filter_map(|fragment| fragment.as_bytes().first_chunk::<5>()) {
            let [first, second, third, fourth, fifth] = *five;
            for four in [[first, second, third, fourth], [second, third, fourth, fifth]] {
                let four = folded(four);
                sieve.first[place::<0>(four)] = 1;
                sieve.second[place::<1>(four)] = 1;
            }
        }
        sieve
    }

    /// Whether a text may have one of the fragments, in whatever case; false where it certainly has none.
    pub(super) fn may_hold(&self, text: &[u8]) -> bool {
        let in_first = |four| self.first[place::<0>(four)];
        let in_both = |four| in_first(four) & self.second[place::<1>(four)] != 0;
        // Four places at once, and the second table only where one of them is in the first.
        let may = |eight: u64, last: u32| {
            let (one, two, three) = (eight as u32, (eight >> 16) as u32, (eight >> 32) as u32);
            in_first(one) | in_first(two) | in_first(three) | in_first(last) != 0
                && (in_both(one) || in_both(two) || in_both(three) || in_both(last))
        };
        let mut rest = text;
        while let Some([a, b, c, d, e, f, g, h, i, j]) = rest.first_chunk() {
            let eight = u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            if may(eight | u64::from(FOLD) << 32 | u64::from(FOLD), folded([*g, *h, *i, *j])) {
                return true;
            }
            rest = &rest[8..];
        }
        while let Some(four) = rest.first_chunk() {
            if in_both(folded(*four)) {
                return true;
            }
            rest = &rest[2..];
        }
        false
    }
}

/// Makes both cases of a letter one, and a few other signs, too.
const FOLD: u32 = 0x2020_2020;

const fn folded(four: [u8; 4]) -> u32 {
    u32::from_le_bytes(four) | FOLD
}

/// The upper bits of a product are mixed best.
const fn place<const TABLE: usize>(four: u32) -> usize {
    (four.wrapping_mul(FACTORS[TABLE]) >> (u32::BITS - BITS[TABLE])) as usize
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
