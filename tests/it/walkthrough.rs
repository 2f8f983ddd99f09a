//! docs/walkthrough.md: the incident, walked by what README and each command's output say to type next. The page is made
//! here, so that it stays true; `MESHAUDIT_BLESS=1` rewrites it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use jiff::civil::{Date, date};
use jiff::{Timestamp, tz::TimeZone};
use meshaudit_sandbox::{Sandbox, wheel};
use regex::{Captures, Regex};

use crate::{incident_after_week, is_as_committed, plugin, project, replaced};

/// The day that the page calls today.
const TODAY: Date = date(2020, 7, 8);

/// A terminal of 80 columns, and the page that is written beside it.
struct Walk<'a> {
    sandbox: &'a Sandbox,
    tools: tempfile::TempDir,
    page: String,
    /// What the last command printed.
    last: String,
}

impl<'a> Walk<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        let tools = tempfile::tempdir().unwrap();
        let link = |program: &Path, name: &str| std::os::unix::fs::symlink(program, tools.path().join(name)).unwrap();
        link(Path::new(env!("CARGO_BIN_EXE_kubectl-meshaudit")), "kubectl-meshaudit");
        link(&wheel::KUBECTL.program().unwrap(), "kubectl");
        Self { sandbox, tools, page: String::new(), last: String::new() }
    }

    /// Says something between two commands.
    fn say(&mut self, text: &str) {
        let _ = write!(self.page, "{text}\n\n");
    }

    /// Types a command into a shell, and keeps what comes.
    fn types(&mut self, command: &str) -> i32 {
        let output = Command::new("sh")
            .args(["-c", &format!("{{ {command}\n}} 2>&1")])
            .env("PATH", format!("{}:/usr/bin:/bin", self.tools.path().display()))
            .env("KUBECONFIG", self.sandbox.kubeconfig())
            .env("KUBECACHEDIR", self.tools.path().join("cache"))
            .env("HOME", self.tools.path())
            .env("COLUMNS", "80")
            .output()
            .unwrap();
        self.last = String::from_utf8(output.stdout).unwrap();
        let shown = settled(&self.last);
        // A line that goes on stands two columns in, wherever it was printed.
        let typed = Regex::new(r"\\\n +").unwrap().replace_all(command, "\\\n  ").into_owned();
        let _ = write!(self.page, "```console\n$ {}\n{}\n```\n\n", settled(&typed), shown.trim_end());
        output.status.code().unwrap()
    }

    /// The command that the last one printed and that begins so.
    fn printed(&self, start: &str) -> String {
        let all = crate::printed::printed(&self.last);
        all.into_iter().find(|command| command.starts_with(start)).unwrap_or_else(|| panic!("{start}: {}", self.last))
    }
}

/// What differs from run to run, in one form: dates become days before and after [`TODAY`], times noon.
fn settled(text: &str) -> String {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let text = Regex::new(r"20\d\d-\d\d-\d\d")
        .unwrap()
        .replace_all(text, |found: &Captures<'_>| {
            let days = found[0].parse::<Date>().map_or(0, |date| (date - today).get_days());
            (TODAY + jiff::Span::new().days(days)).to_string()
        })
        .into_owned();
    let patterns = [
        (r"T\d\d:\d\d:\d\d\.\d{3}Z", "T12:00:00.000Z"),
        (r"T\d\d:\d\d:\d\dZ", "T12:00:00Z"),
        (r"(\d\d-\d\d) \d\d:\d\d:\d\dZ", "$1 12:00:00Z"),
        (r"(\d\d-\d\d) \d\d:\d\d\b([^:])", "$1 12:00$2"),
        (r"T\d\d:\d\d:\d\d\+00:00", "T12:00:00+00:00"),
        (r"\b(from|to) \d\d:\d\d\b", "$1 12:00"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:40443"),
        (r"\b0 0 (99\d|10[0-2]\d) ", "0 0 1000 "),
        (r"\b(0\.99|1\.0\d)s", "1.00s"),
        (r"\b\d+ seconds?\b", "4 seconds"),
        (r"\b16[89] hours\b", "168 hours"),
        // Both pods fail at the same moment.
        (r"-x2k4p:\d+: ", "-m8q2z:5: "),
        (r"-x2k4p:\d+ ", "-m8q2z:5 "),
        (r#"resourceVersion: "\d+""#, r#"resourceVersion: "1007""#),
    ];
    replaced(&text, &patterns)
}

#[test]
fn the_incident_by_readme_and_printed_hints_alone() {
    let sandbox = incident_after_week();
    let readme = plugin(["timeouts", "-n", "shop", "--host", "cc-api"]).on(&sandbox).run().exits(1).stdout;
    let mut walk = Walk::new(&sandbox);
    walk.say(
        "# The incident, walked\n\nAn operator has `Connection reset` in a service's log, a terminal of 80 columns, and README. Everything \
         typed here stands in README or was printed by the command before. A test walks it (tests/it/walkthrough.rs) on \
         the mesh that `cargo demo` brings up, and writes this page; only times, dates and ports are made to stand still.",
    );
    walk.say("How bad is it, and since when?");
    walk.types("kubectl meshaudit resets -n shop");
    let diagnose = walk.printed("kubectl meshaudit diagnose");
    walk.say("It has grown for a week, and it is one host. The last line says where to look: the proxies' own logs.");
    assert_eq!(walk.types(&diagnose), 1);
    let fix = walk.printed("kubectl meshaudit fix");
    walk.say(
        "Connections to that host are given up after one second. What the proxy itself says of it (README, \"Use\"):",
    );
    walk.types("kubectl meshaudit clusters deploy/checkout -n shop --fqdn cc-api");
    let timeouts = walk.printed("kubectl meshaudit timeouts");
    walk.say("Where that second comes from:");
    assert_eq!(walk.types(&timeouts), 1);
    walk.printed("kubectl meshaudit fix");
    walk.say("The mesh's own configuration. The change, as the diagnosis printed it:");
    assert_eq!(walk.types(&fix), 0);
    walk.say("Helm is somebody else's, in the morning. Until then, what can be pasted:");
    let plan = walk.last.clone();
    for command in crate::printed::printed(&plan).iter().filter(|command| command.starts_with("kubectl patch")) {
        assert_eq!(walk.types(command), 0, "{}", walk.last);
    }
    walk.last = plan;
    // Whole seconds: a mark is after the change, and before the first call that it helped.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let changed = Timestamp::now().round(jiff::Unit::Second).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let verify = walk.printed("kubectl meshaudit verify");
    walk.say("Has everyone got it? (The one proxy that had lost its control plane has found it again meanwhile.)");
    sandbox.set_connected("shop", "orders-5f7c9d8b64-k9d2r", true);
    assert_eq!(walk.types(&verify), 0);
    for _ in 0..3 {
        let _ = sandbox.drive_client();
    }
    walk.say("And did it help? A moment later nobody can know, and it says so:");
    walk.types(&format!("kubectl meshaudit resets deploy/checkout -n shop --mark '{changed}=connectTimeout 10s'"));
    walk.say("What the operator would otherwise write up by hand, README's `incident` writes:");
    walk.types(&format!("kubectl meshaudit incident -n shop --mark '{changed}=connectTimeout 10s'"));
    // Where a line breaks depends on how many seconds have passed.
    let words = |page: &str| page.split_whitespace().collect::<Vec<_>>().join(" ");
    let committed = std::fs::read_to_string(project().join("docs/walkthrough.md")).unwrap_or_default();
    if words(&committed) != words(&walk.page) {
        is_as_committed("docs/walkthrough.md", &format!("{}\n", walk.page.trim_end()));
    }
    // README shows the same mesh.
    let text = std::fs::read_to_string(project().join("README.md")).unwrap();
    let begin = "```console\n$ kubectl meshaudit timeouts -n shop --host cc-api\n";
    let (before, rest) = text.split_once(begin).expect("README shows an audit");
    let (_, after) = rest.split_once("```\n").expect("to the end");
    is_as_committed("README.md", &format!("{before}{begin}{}\n```\n{after}", settled(&readme).trim_end()));
}
