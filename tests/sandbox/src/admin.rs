//! The smallest client of an admin endpoint, for the sandbox's own questions.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Asks `GET target` of the endpoint at `address` on a connection of its own: status and body.
pub(crate) async fn get(address: SocketAddr, target: &str) -> Result<(u16, Bytes), Failure> {
    request(TcpStream::connect(address).await?, "GET", target).await
}

/// Asks `METHOD target` over a stream that is already there.
pub async fn request<S>(stream: S, method: &str, target: &str) -> Result<(u16, Bytes), Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request =
        http::Request::builder().method(method).uri(target).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}
