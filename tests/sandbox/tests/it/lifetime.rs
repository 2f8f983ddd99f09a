//! Nothing outlives the process that started it, not even when it is killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use meshaudit_sandbox::admin;

use crate::client::wait;

#[test]
fn envoys_die_with_a_killed_parent() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_meshaudit-demo"))
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let line = BufReader::new(demo.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    let kubeconfig = line.strip_prefix("export KUBECONFIG=").unwrap().to_owned();
    let directory = Path::new(&kubeconfig).parent().unwrap();
    let mut admins = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let address = entry.unwrap().path().join("admin-address");
        if let Ok(text) = std::fs::read_to_string(address) {
            admins.push(text.trim().parse::<std::net::SocketAddr>().unwrap());
        }
    }
    assert!(admins.len() >= 12);
    for admin in &admins {
        let ready = wait(async {
            let stream = tokio::net::TcpStream::connect(admin).await.unwrap();
            admin::request(stream, "GET", "/ready").await.unwrap().0
        });
        assert_eq!(ready, 200);
    }

    // SIGKILL: no handler, no destructor, no goodbye.
    demo.kill().unwrap();
    demo.wait().unwrap();
    let begun = Instant::now();
    while directory.exists() || admins.iter().any(|admin| std::net::TcpStream::connect(admin).is_ok()) {
        assert!(begun.elapsed() < Duration::from_secs(30), "something of {} is still there", directory.display());
        std::thread::sleep(Duration::from_millis(100));
    }
}
