//! A small HTTP server for `serve`: a few pages, made beforehand, that can only be read.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections answered at once; more wait in the kernel's backlog.
const AT_ONCE: usize = 64;

/// How long a request may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

/// How long a connection may last in all.
const WHOLE: Duration = Duration::from_secs(60);

/// The most that a request's head may have; bodies are not read.
const MAX_HEAD: usize = 16 << 10;

/// What is answered.
#[derive(Debug, Clone)]
pub struct Page {
    /// Whether it is what was asked for, not there, or not to be had now.
    pub status: StatusCode,
    /// Its media type.
    pub content_type: &'static str,
    /// Its text.
    pub body: Bytes,
}

/// Gives the page of a path.
pub type Pages = dyn Fn(&str) -> Page + Send + Sync;

/// Answers requests for pages, for as long as it is let.
pub async fn answer_pages(listener: TcpListener, pages: Arc<Pages>) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // There are too many open files; some will be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let pages = Arc::clone(&pages);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let response = response(&request, &*pages);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(ARRIVAL).max_buf_size(MAX_HEAD).keep_alive(false);
            // A client that went away has its own reasons.
            let _ = tokio::time::timeout(WHOLE, http.serve_connection(TokioIo::new(stream), service)).await;
            drop(place);
        });
    }
}

fn response(request: &Request<Incoming>, pages: &Pages) -> Response<Full<Bytes>> {
    let readable = matches!(*request.method(), Method::GET | Method::HEAD);
    let page = if readable {
        pages(request.uri().path())
    } else {
        let body = Bytes::from_static(b"only GET and HEAD\n");
        Page { status: StatusCode::METHOD_NOT_ALLOWED, content_type: "text/plain; charset=utf-8", body }
    };
    let mut response = Response::new(Full::new(page.body));
    *response.status_mut() = page.status;
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, page.content_type);
    set(header::CACHE_CONTROL, "no-store");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // The page has its style and script in itself, and fetches nothing.
    set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'",
    );
    if !readable {
        set(header::ALLOW, "GET, HEAD");
    }
    response
}
