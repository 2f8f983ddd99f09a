//! `snapshot`: keeps what an audit reads.

use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::kube_args::{EvidenceArgs, SourceArgs};
use crate::decode::snapshot::write;
use crate::model::MeshSnapshot;
use crate::report::look::count;
use crate::system::Output;

/// Keep what an audit reads, for later or for another machine; every read command takes it back with --from
#[derive(Debug, Args)]
pub(super) struct SnapshotArgs {
    /// A directory, or a file whose name ends in .tar.gz or .tgz
    #[arg(value_name = "DIR|FILE.tar.gz")]
    to: PathBuf,
    #[command(flatten)]
    pub(super) source: SourceArgs,
    #[command(flatten)]
    evidence: EvidenceArgs,
    /// Exit code 0 even if some proxies could not be read
    #[arg(long)]
    exit_zero: bool,
    /// Write over a snapshot that is already there
    #[arg(long)]
    force: bool,
}

/// The document's name in a directory and in an archive.
const DOCUMENT: &str = "snapshot.json";

pub(super) async fn run(args: &SnapshotArgs, console: &Console) -> Result<Exit, Failure> {
    let packed = is_packed(&args.to)?;
    let file = if packed { args.to.clone() } else { args.to.join(DOCUMENT) };
    if file.exists() && !args.force {
        return Err(Failure::usage(format!("{} is already there", file.display()))
            .hint("choose another place, or write over it with --force"));
    }
    let mut snapshot = args.source.collect(console, args.evidence.wanted()).await?;
    leave_out_credentials(&mut snapshot, console);
    save(&snapshot, &args.to, &file, packed).map_err(|error| {
        Failure::cannot_run(format!("cannot write {}: {error}", file.display())).hint("is the directory writable?")
    })?;
    let failed = if snapshot.failed.is_empty() {
        String::new()
    } else {
        format!(", {} could not be read", count(snapshot.failed.len(), "proxy", "proxies"))
    };
    console.note(&format!(
        "Wrote {} with {}{failed}; read it back with --from {}",
        file.display(),
        count(snapshot.proxies.len(), "proxy", "proxies"),
        args.to.display(),
    ));
    Ok(if snapshot.failed.is_empty() || args.exit_zero { Exit::Success } else { Exit::Incomplete })
}

/// Whether an archive is meant. A name with an ending that is neither an archive's nor that of a directory which is
/// there was meant to be something that this does not write.
fn is_packed(to: &Path) -> Result<bool, Failure> {
    let name = to.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        return Ok(true);
    }
    match to.extension() {
        Some(ending) if !to.is_dir() => {
            Err(Failure::usage(format!("a snapshot is no .{} file", ending.to_string_lossy()))
                .hint("name a directory, or a file that ends in .tar.gz or .tgz"))
        }
        _ => Ok(false),
    }
}

/// Leaves out what others should not see: a mesh configuration's text where it holds credentials.
fn leave_out_credentials(snapshot: &mut MeshSnapshot, console: &Console) {
    for plane in snapshot.objects.values_mut().flat_map(|objects| &mut objects.control_planes) {
        for source in plane.mesh.iter_mut().filter(|source| !source.text.is_empty()) {
            if source.withhold_credentials() {
                console.note(&format!(
                    "The mesh configuration of revision {} may hold credentials: its text is left out, and `fix --from` \
                     prints no patch of it.",
                    crate::report::escape::escape(&plane.revision)
                ));
            }
        }
    }
}

/// Writes beside the place and then renames, so that no half of a snapshot is ever there, and no link is followed.
fn save(snapshot: &MeshSnapshot, to: &Path, file: &Path, packed: bool) -> io::Result<()> {
    if !packed {
        std::fs::create_dir_all(to)?;
    }
    let mut out = BufWriter::new(Output::to(file)?);
    if packed {
        let mut document = Vec::new();
        write(snapshot, &mut document).map_err(io::Error::other)?;
        let mut header = tar::Header::new_ustar();
        header.set_size(document.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(snapshot.taken_at.as_second()).unwrap_or(0));
        let mut archive = tar::Builder::new(GzEncoder::new(&mut out, Compression::default()));
        archive.append_data(&mut header, DOCUMENT, document.as_slice())?;
        archive.into_inner()?.finish()?;
    } else {
        write(snapshot, &mut out).map_err(io::Error::other)?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.keep()
}
