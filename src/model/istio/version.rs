//! Istio's versions.

/// A control plane's version, as far as it decides how configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number; 0 where there is none.
    pub patch: u32,
}

impl Version {
    /// A version by its numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads `1.20.3`, `v1.20.3-distroless`, `1.31`; `None` for what has not even two numbers.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim_start_matches('v').splitn(4, |c: char| !c.is_ascii_digit());
        let (major, minor) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        let patch = numbers.next().and_then(|patch| patch.parse().ok()).unwrap_or(0);
        Some(Self { major, minor, patch })
    }
}

/// The first two numbers of a version: `1.20.3-distroless` gives (1, 20).
#[must_use]
pub fn minor_version(version: &str) -> Option<(u32, u32)> {
    Version::parse(version).map(|version| (version.major, version.minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        for (text, version) in [
            ("1.20.3", Some(Version::new(1, 20, 3))),
            ("v1.9.1-distroless", Some(Version::new(1, 9, 1))),
            ("1.31", Some(Version::new(1, 31, 0))),
            ("1.31-alpha.0", Some(Version::new(1, 31, 0))),
            ("1.31.0-rc.0", Some(Version::new(1, 31, 0))),
            ("1.20.3.4", Some(Version::new(1, 20, 3))),
            ("latest", None),
            ("1", None),
            ("", None),
        ] {
            assert_eq!(Version::parse(text), version, "{text}");
        }
        assert!(Version::new(1, 9, 9) < Version::new(1, 20, 0));
    }
}
