//! Archives that nobody would make by accident, through the built binary: what is sound in them is read, what is not is
//! named, nothing is written, and nothing grows.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::plugin;

const DUMP: &[u8] = br#"[{"name": "outbound|80||a", "connectTimeout": "10s"}]"#;

/// An archive that is made by hand: libraries refuse what is wanted here.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn header(&mut self, path: &[u8], kind: u8, size: u64, link: &str) -> &mut Self {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..path.len().min(100)].copy_from_slice(&path[..path.len().min(100)]);
        header.set_size(size);
        header.set_mode(0o644);
        header.as_mut_bytes()[156] = kind;
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self
    }

    fn data(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> &mut Self {
        self.header(path.as_bytes(), b'0', bytes.len() as u64, "").data(bytes)
    }

    fn special(&mut self, kind: u8, bytes: &[u8]) -> &mut Self {
        self.header(b"././@LongLink", kind, bytes.len() as u64, "").data(bytes)
    }

    fn end(&self) -> Vec<u8> {
        [&self.0[..], &[0; 1024]].concat()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A record of PAX attributes: `LENGTH KEY=VALUE`.
fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length.to_string().len() + rest.len() != length {
        length = length.to_string().len() + rest.len();
    }
    format!("{length}{rest}").into_bytes()
}

/// Audits an input in an empty directory: the exit code, the coverage, and what was said. Nothing else is there
/// afterwards.
fn audited(name: &str, bytes: &[u8]) -> (i32, Value, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    let mut command = plugin(["timeouts", "-o", "json", "--fail-on", "never", "--from", name]);
    command.command.current_dir(directory.path());
    let run = command.run();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "{name}: nothing is unpacked");
    assert!(run.stderr.lines().all(|line| line.len() < 6000), "{name}: {}", run.stderr);
    let audit = serde_json::from_str::<Value>(&run.stdout).unwrap_or_default();
    (run.code, audit["coverage"].clone(), run.stderr)
}

#[test]
fn what_is_sound_in_a_hostile_archive_is_read() {
    let long = format!("{}/dump.json", "d".repeat(900));
    let rows: Vec<(&str, Vec<u8>, u64)> = vec![
        ("a path to a parent", Tar::default().file("../../../etc/cron.d/x.json", DUMP).end(), 1),
        ("an absolute path", Tar::default().file("/etc/cron.d/x.json", DUMP).end(), 1),
        ("a path of the other kind", Tar::default().file("C:\\..\\..\\x.json", DUMP).end(), 1),
        ("a name twice", Tar::default().file("a.json", DUMP).file("a.json", DUMP).end(), 2),
        ("a name that is a directory's too", Tar::default().file("a", DUMP).file("a/b", DUMP).end(), 2),
        ("a long name", Tar::default().special(b'L', long.as_bytes()).file("x", DUMP).end(), 1),
        ("a long name with no file", Tar::default().file("a.json", DUMP).special(b'L', long.as_bytes()).end(), 1),
        ("a long name twice", Tar::default().special(b'L', b"b").special(b'L', b"c").file("x", DUMP).end(), 1),
        ("a long name of a link", Tar::default().special(b'K', long.as_bytes()).file("a.json", DUMP).end(), 1),
        ("PAX attributes", Tar::default().special(b'x', &pax("path", &long)).file("x", DUMP).end(), 1),
        ("PAX attributes that lie", Tar::default().special(b'x', b"999999 path=a\n").file("a.json", DUMP).end(), 1),
        ("PAX attributes that are none", Tar::default().special(b'x', b"\xff\xfe\0").file("a.json", DUMP).end(), 1),
        ("PAX attributes for all", Tar::default().special(b'g', &pax("path", "../x")).file("a.json", DUMP).end(), 1),
        (
            "a size among PAX attributes",
            // As a file of more than 8 GiB has it: its own header has no room.
            Tar::default()
                .special(b'x', &pax("size", &DUMP.len().to_string()))
                .header(b"a", b'0', 0, "")
                .data(DUMP)
                .file("b", DUMP)
                .end(),
            2,
        ),
        ("a link", Tar::default().header(b"l.json", b'2', 0, "/etc/passwd").file("a.json", DUMP).end(), 1),
        ("a hard link", Tar::default().header(b"l.json", b'1', 0, "/etc/passwd").file("a.json", DUMP).end(), 1),
        ("a FIFO", Tar::default().header(b"f.json", b'6', 0, "").file("a.json", DUMP).end(), 1),
        ("a device", Tar::default().header(b"d.json", b'3', 0, "").file("a.json", DUMP).end(), 1),
        ("a directory", Tar::default().header(b"d/", b'5', 0, "").file("d/a.json", DUMP).end(), 1),
        ("a kind that nobody knows", Tar::default().header(b"q", b'Q', 0, "").file("a.json", DUMP).end(), 1),
        ("an archive in an archive", Tar::default().file("b.tar", &Tar::default().file("a", DUMP).end()).end(), 1),
        ("packed once more", Tar::default().file("a.json.gz", &gzip(DUMP)).end(), 1),
        (
            "a name that is no text",
            Tar::default().header(b"\xff\x1b[31m\xe2\x80\xae", b'0', DUMP.len() as u64, "").data(DUMP).end(),
            1,
        ),
    ];
    for (what, bytes, good) in rows {
        for (name, bytes) in [("in.tar", bytes.clone()), ("in.tgz", gzip(&bytes))] {
            let (code, coverage, said) = audited(name, &bytes);
            assert_eq!(coverage["audited"], good, "{what}, {name}: {code} {coverage} {said}");
            assert!(!coverage.to_string().contains("root:"), "{what}: {coverage}");
        }
    }
}

#[test]
fn what_is_not_sound_is_named_and_the_rest_is_audited() {
    let many = |count: usize| {
        let mut tar = Tar::default();
        tar.file("a.json", DUMP);
        for index in 0..count {
            tar.header(format!("d/{index}").as_bytes(), b'5', 0, "");
        }
        tar.end()
    };
    let mut sparse = Tar::default();
    sparse.file("a.json", DUMP);
    // GNU's old form: a file that is one hole of a terabyte.
    let mut header = tar::Header::new_gnu();
    header.set_path("hole.json").unwrap();
    header.as_mut_bytes()[156] = b'S';
    header.set_size(0);
    header.as_mut_bytes()[483..495].copy_from_slice(b"\xff\xff\xff\xff\0\0\x01\0\0\0\0\0");
    header.set_cksum();
    sparse.0.extend_from_slice(header.as_bytes());
    let whole = Tar::default().file("a.json", DUMP).file("b.json", &DUMP.repeat(40)).end();
    let flipped = {
        let mut packed = gzip(&Tar::default().file("a.json", DUMP).end());
        let at = packed.len() - 6;
        packed[at] ^= 0xff;
        packed
    };
    let claims = Tar::default().file("a.json", DUMP).header(b"b.json", b'0', 8 << 30, "").data(DUMP).end();
    // Its blanks are of the file that its header says they are.
    let blanks = |mib: usize| {
        let mut tar = Tar::default();
        tar.file("a.json", DUMP).header(b"b.json", b'0', (mib << 20) as u64, "").data(&vec![b' '; mib << 20]);
        gzip(&tar.end())
    };
    let rows: Vec<(&str, Vec<u8>, u64, &str)> = vec![
        ("a hundred thousand entries and more", gzip(&many(100_001)), 1, "more than 100000 files"),
        (
            "a long name of a mebibyte",
            gzip(&Tar::default().file("a", DUMP).special(b'L', &vec![b'a'; 1 << 20]).end()),
            1,
            "1048576 bytes",
        ),
        (
            "a long link of a mebibyte",
            gzip(&Tar::default().file("a", DUMP).special(b'K', &vec![b'a'; 1 << 20]).end()),
            1,
            "1048576 bytes",
        ),
        (
            "PAX attributes of a mebibyte",
            gzip(&Tar::default().file("a", DUMP).special(b'x', &vec![b'a'; 1 << 20]).end()),
            1,
            "1048576 bytes",
        ),
        (
            "global ones of a mebibyte",
            gzip(&Tar::default().file("a", DUMP).special(b'g', &vec![b'a'; 1 << 20]).end()),
            1,
            "1048576 bytes",
        ),
        (
            "a name of 8000 bytes",
            gzip(&Tar::default().file("a", DUMP).special(b'L', &vec![b'a'; 8000]).file("x", DUMP).end()),
            1,
            "8000 bytes",
        ),
        (
            "a path of 8000 bytes",
            gzip(&Tar::default().file("a", DUMP).special(b'x', &pax("path", &"a".repeat(8000))).file("x", DUMP).end()),
            1,
            "8000 bytes",
        ),
        ("cut in the middle", whole[..1800].to_vec(), 1, "cut off"),
        ("packed, and cut", gzip(&whole)[..60].to_vec(), 0, "cut off"),
        ("a checksum of gzip's that is wrong", flipped, 1, "damaged"),
        ("more than there is", claims, 1, "cut off"),
        (
            "a size among PAX attributes that is not true",
            Tar::default().file("a", DUMP).special(b'x', &pax("size", "99999999")).file("b", DUMP).end(),
            1,
            "cut off",
        ),
        (
            "a size that no file has",
            Tar::default().file("a", DUMP).special(b'x', &pax("size", &u64::MAX.to_string())).file("b", DUMP).end(),
            1,
            "a size that no file has",
        ),
        (
            "a sparse file among PAX attributes",
            Tar::default()
                .file("a", DUMP)
                .special(b'x', &[pax("GNU.sparse.major", "1"), pax("GNU.sparse.name", "hole.json")].concat())
                .file("GNUSparseFile.0/hole.json", DUMP)
                .end(),
            1,
            "in.tar.gz:hole.json",
        ),
        ("GNU's sparse file", sparse.end(), 1, "as a sparse file"),
        ("300 MiB of blanks in 300 KiB", blanks(300), 1, "1000 times"),
    ];
    for (what, bytes, good, words) in rows {
        let (code, coverage, said) = audited("in.tar.gz", &bytes);
        let all = format!("{coverage} {said}");
        assert!(all.contains(words), "{what}: {words:?} is not in: {all}");
        assert_eq!(coverage["audited"].as_u64().unwrap_or_default(), good, "{what}: {all}");
        assert!([3, 4].contains(&code), "{what}: {code} {all}");
    }
}

/// Hidden files are not read, and that is said; what file managers and version control leave is nothing.
#[test]
fn hidden_files_are_named() {
    let mut tar = Tar::default();
    for path in ["a.json", ".old.json", ".kept/b.json", "._a.json", ".DS_Store", ".git/config", "./c.json"] {
        tar.file(path, DUMP);
    }
    let (code, coverage, said) = audited("in.tar", &tar.end());
    assert_eq!((code, coverage["audited"].as_u64()), (0, Some(2)), "{coverage} {said}");
    let skipped: Vec<&str> =
        coverage["skipped"].as_array().unwrap().iter().map(|one| one["proxy"].as_str().unwrap()).collect();
    assert_eq!(skipped, ["in.tar:.kept/b.json", "in.tar:.old.json"]);
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join(".kept")).unwrap();
    for name in ["a.json", ".old.json", ".kept/b.json", ".DS_Store"] {
        fs::write(directory.path().join(name), DUMP).unwrap();
    }
    let from = directory.path().to_str().unwrap();
    let run = plugin(["timeouts", "--from", from]).run().exits(0);
    assert!(run.stdout.contains("skipped 2 files") && run.stdout.contains(".old.json"), "{}", run.stdout);
    // One that is named is meant.
    plugin(["timeouts", "--from", &format!("{from}/.old.json")]).run().exits(0);
    fs::write(directory.path().join("proxy.log"), "[2020-07-03T12:00:00.000Z] \"- - -\" 0 - - - \"-\" 0 0 1 -\n")
        .unwrap();
    plugin(["diagnose", "--from", from]).run().complains("Hidden files are left out").complains(".old.json");
}

/// The same bytes as logs.
#[test]
fn logs_in_hostile_archives_are_read_where_they_are() {
    let line = b"2026-11-23T18:00:00.000Z ERROR [api] java.net.SocketException: Connection reset\n";
    let directory = tempfile::tempdir().unwrap();
    let read = |name: &str, bytes: &[u8]| {
        let path: &Path = &directory.path().join(name);
        fs::write(path, bytes).unwrap();
        let run = plugin(["resets", "-o", "json", "--from", path.to_str().unwrap()]).run();
        let total = serde_json::from_str::<Value>(&run.stdout).map(|report| report["total"]["resets"].clone());
        (run.code, total.unwrap_or_default(), run.stderr)
    };
    let tar = Tar::default()
        .file("../../x.log", line)
        .header(b"l.log", b'2', 0, "/etc/passwd")
        .special(b'x', &pax("path", "/etc/y.log"))
        .file("y", &line.map(|byte| if byte == b'8' { b'9' } else { byte }))
        .end();
    for (name, bytes) in [("a.tar", tar.clone()), ("a.tar.gz", gzip(&tar))] {
        let (code, total, said) = read(name, &bytes);
        assert_eq!((code, total.as_u64()), (0, Some(2)), "{name}: {said}");
    }
    let (code, _, said) = read("b.tar.gz", &gzip(&Tar::default().special(b'L', &vec![b'a'; 1 << 20]).end()));
    assert!(code == 4 && said.contains("1048576 bytes"), "{code}: {said}");
}
