//! A server that does not answer SYNs, without privileges and on loopback.
//!
//! A listening socket with a backlog of 0 and connections waiting in its queue makes the kernel drop
//! further SYNs. Once the queue is drained, the next retransmission gets through.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

/// The backlog of a server that answers.
const BACKLOG: i32 = 128;
/// How often the server's thread looks at what it should do.
const TICK: Duration = Duration::from_millis(5);
/// A connection to a loopback queue with room is established much faster than this.
const QUEUE_PROBE: Duration = Duration::from_millis(100);

/// The server.
#[derive(Debug)]
pub struct SilentUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// What is wanted.
    answering: AtomicBool,
    /// What is the case.
    silent: AtomicBool,
    stopped: AtomicBool,
}

impl SilentUpstream {
    /// Starts the server, silent.
    ///
    /// # Errors
    /// Any error of the socket.
    pub fn start() -> std::io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        socket.listen(0)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from(socket);
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("silent-upstream".to_owned()).spawn(move || run(&listener, address, &theirs))?;
        let upstream = Self { address, shared };
        upstream.set_answering(false);
        Ok(upstream)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets SYNs be answered, or dropped again; returns when it is so.
    pub fn set_answering(&self, answering: bool) {
        self.shared.answering.store(answering, Ordering::SeqCst);
        while self.shared.silent.load(Ordering::SeqCst) == answering {
            thread::sleep(TICK);
        }
    }
}

impl Drop for SilentUpstream {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
    }
}

fn run(listener: &TcpListener, address: SocketAddr, shared: &Shared) {
    let socket = SockRef::from(listener);
    while !shared.stopped.load(Ordering::SeqCst) {
        // A second `listen` changes the backlog of a socket that listens already.
        let _ = socket.listen(0);
        let waiting = fill(address);
        shared.silent.store(true, Ordering::SeqCst);
        while !shared.answering.load(Ordering::SeqCst) {
            if shared.stopped.load(Ordering::SeqCst) {
                return;
            }
            thread::sleep(TICK);
        }
        let _ = socket.listen(BACKLOG);
        drop(waiting);
        while listener.accept().is_ok() {}
        shared.silent.store(false, Ordering::SeqCst);
        while shared.answering.load(Ordering::SeqCst) && !shared.stopped.load(Ordering::SeqCst) {
            match listener.accept() {
                Ok((stream, _)) => {
                    thread::spawn(move || echo(stream));
                }
                Err(_) => thread::sleep(TICK),
            }
        }
    }
}

/// Fills the accept queue; the streams keep their places in it for as long as they live.
fn fill(address: SocketAddr) -> Vec<TcpStream> {
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, QUEUE_PROBE) {
        waiting.push(stream);
    }
    waiting
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 4_096];
    let _ = stream.set_nonblocking(false);
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
