//! An API server that answers whatever a test says, for what no sound one would answer.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What is answered: status, content type, body.
pub(crate) type Reply = (u16, &'static str, String);

/// A server on loopback, without TLS. Each answer ends its connection.
pub(crate) struct Fake {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<(Instant, String)>>>,
    agents: Arc<Mutex<BTreeSet<String>>>,
}

impl Fake {
    /// Answers each `METHOD path` with what `answer` gives.
    pub(crate) fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::serving(move |line, mut stream| {
            let (status, kind, body) = answer(line);
            let _ = write!(
                stream,
                "HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        })
    }

    fn serving(answer: impl Fn(&str, &TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        let agents = Arc::new(Mutex::new(BTreeSet::new()));
        let named = Arc::clone(&agents);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, named, answer) = (Arc::clone(&log), Arc::clone(&named), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, (&log, &named), &*answer));
            }
        });
        Self { address, seen, agents }
    }

    /// Answers each `METHOD path` with bytes, whatever they are, and then closes.
    pub(crate) fn raw(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serving(move |line, mut stream| {
            let _ = stream.write_all(&answer(line));
        })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig whose only context, of this name, leads to it.
    pub(crate) fn kubeconfig(&self, context: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {context}\nclusters:\n- name: c\n  cluster: {{server: {}}}\n\
             users:\n- name: u\n  user: {{token: t}}\ncontexts:\n- name: {context}\n  context: {{cluster: c, user: u, \
             namespace: shop}}\n",
            self.url()
        )
    }

    /// The User-Agents of all requests; an empty one where a request had none.
    pub(crate) fn agents(&self) -> BTreeSet<String> {
        self.agents.lock().unwrap().clone()
    }

    /// When requests with this in them came.
    pub(crate) fn times(&self, part: &str) -> Vec<Instant> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(_, line)| line.contains(part)).map(|(time, _)| *time).collect()
    }
}

type Seen<'a> = (&'a Mutex<Vec<(Instant, String)>>, &'a Mutex<BTreeSet<String>>);

fn serve(stream: &TcpStream, (log, agents): Seen<'_>, answer: &dyn Fn(&str, &TcpStream)) {
    let mut lines = BufReader::new(stream).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let mut agent = String::new();
    while let Some(Ok(header)) = lines.next().filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty())) {
        if header.to_ascii_lowercase().starts_with("user-agent: ") {
            agent = header["user-agent: ".len()..].to_owned();
        }
    }
    agents.lock().unwrap().insert(agent);
    let line = first.trim_end_matches(" HTTP/1.1").to_owned();
    log.lock().unwrap().push((Instant::now(), line.clone()));
    answer(&line, stream);
}

/// A pod `shop/web-1` with a sidecar, as the API server has it.
pub(crate) fn pod() -> serde_json::Value {
    serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop", "uid": "u"},
        "spec": {"containers": [{"name": "istio-proxy", "args": ["proxy", "sidecar"]}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "istio-proxy", "restartCount": 0,
            "state": {"running": {}}}]}})
}
