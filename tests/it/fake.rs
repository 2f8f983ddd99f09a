//! An API server that answers whatever a test says, for what no sound one would answer.

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
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &log, &*answer));
            }
        });
        Self { address, seen }
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

    /// When requests with this in them came.
    pub(crate) fn times(&self, part: &str) -> Vec<Instant> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(_, line)| line.contains(part)).map(|(time, _)| *time).collect()
    }
}

fn serve(stream: &TcpStream, log: &Mutex<Vec<(Instant, String)>>, answer: &dyn Fn(&str, &TcpStream)) {
    let mut lines = BufReader::new(stream).lines();
    let Some(Ok(first)) = lines.next() else { return };
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let line = first.trim_end_matches(" HTTP/1.1").to_owned();
    log.lock().unwrap().push((Instant::now(), line.clone()));
    answer(&line, stream);
}
