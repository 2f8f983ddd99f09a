//! demo
use meshaudit_sandbox::{Sandbox, incident};
fn main() {
    let t = std::time::Instant::now();
    let s = Sandbox::start(incident::mesh()).unwrap();
    eprintln!("started in {:?}", t.elapsed());
    eprintln!("export KUBECONFIG={}", s.kubeconfig().display());
    eprintln!("{:?}", s.drive_client());
    std::thread::sleep(std::time::Duration::from_secs(600));
}
