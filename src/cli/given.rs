//! Files that flags name, of which each is read within a bound.

use std::io::{BufReader, Read};
use std::path::Path;

use crate::decode::bounded::Weighed;
use crate::input::{Until, open};
use crate::system::at_most;

/// The most that a document of this program may weigh once it is decoded: that of some 60,000 clusters. What is made of
/// it, of both of a comparison, takes twice and a half as much.
const MAX_DOCUMENT: usize = 104 << 20;

/// The most bytes of a file with a token, a key or certificates.
const MAX_SECRET: u64 = 16 << 20;

/// A document that an earlier run wrote; `-` is standard input. Reading fails where it is larger than any there is.
pub(super) fn document(path: &Path, until: Until) -> std::io::Result<impl Read> {
    Ok(bounded(BufReader::new(open(path, until)?)))
}

/// The same of what is open already.
pub(super) fn bounded(reader: impl Read) -> impl Read {
    BufReader::new(Weighed::new(reader, MAX_DOCUMENT))
}

/// A small file: a token, a password, certificates. It may be a pipe, as a shell makes it of `<(…)`.
pub(super) fn small(path: &Path, until: Until) -> std::io::Result<Vec<u8>> {
    at_most(open(path, until)?, MAX_SECRET)?
        .ok_or_else(|| std::io::Error::other(format!("it is larger than {} MiB", MAX_SECRET >> 20)))
}
