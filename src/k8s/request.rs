//! Requests to the API server. Every answer is read piece by piece, within the command's deadline, and up to a size.

use std::collections::HashSet;
use std::time::Instant;

use http_body_util::BodyExt as _;
use kube::client::Body;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::client::Connection;
use super::encode::encode;
use super::error::{ApiError, innermost};
use super::outside::{outside, outside_bytes};
use super::retry::Retry;
use crate::decode::{ElementError, Elements};

/// The most bytes of one object: twice what etcd takes (`--max-request-bytes`), for what is stored in a shorter form.
pub(super) const MAX_OBJECT: usize = 3 << 20;

/// The most bytes of one page of a list. No page is held: each object is given on as it comes.
const MAX_PAGE: u64 = 256 << 20;

/// How many objects a page is to have, as kubectl's `--chunk-size`.
const PAGE: usize = 500;

/// The most pages of a list: a million objects, several times what Kubernetes itself is built for.
const MAX_PAGES: usize = 2000;

/// How much of an error's body is read.
const MAX_ERROR: usize = 64 << 10;

/// What is listed.
#[derive(Debug, Clone, Copy)]
pub struct ListQuery<'a> {
    /// The API's path, without a query.
    pub path: &'a str,
    /// A label selector.
    pub labels: Option<&'a str>,
    /// A field selector.
    pub fields: Option<&'a str>,
}

impl<'a> ListQuery<'a> {
    /// Everything at a path.
    #[must_use]
    pub fn all(path: &'a str) -> Self {
        Self { path, labels: None, fields: None }
    }

    fn page(&self, token: &str) -> String {
        let mut path = format!("{}?limit={PAGE}", self.path);
        for (key, value) in [("labelSelector", self.labels), ("fieldSelector", self.fields), ("continue", Some(token))]
        {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                path.push_str(&format!("&{key}={}", encode(value)));
            }
        }
        path
    }
}

/// What comes of a list.
#[derive(Debug, Clone, Copy)]
pub enum Listed<'a> {
    /// An object, as JSON.
    Object(&'a [u8]),
    /// The list had expired between two pages and is begun anew: what came so far is void.
    Restarted,
}

/// Takes what comes of a list.
pub(super) type TakeListed<'a> = dyn FnMut(Listed<'_>) -> Result<(), ApiError> + Send + 'a;

impl Connection {
    /// Gets one object. `path` is the API's, with its query.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.get_as(path, "application/json").await
    }

    /// Gets an object, or one page of a list, in the form that `accept` names.
    pub(super) async fn get_as<T: DeserializeOwned>(&self, path: &str, accept: &str) -> Result<T, ApiError> {
        let mut body = Vec::new();
        self.read(path, accept, &mut |chunk| {
            if body.len() + chunk.len() > MAX_OBJECT {
                return Err(too_large(MAX_OBJECT as u64));
            }
            body.extend_from_slice(chunk);
            Ok(())
        })
        .await?;
        serde_json::from_slice(&body).map_err(|error| match body.first() {
            Some(b'{') => ApiError::unreadable("the object", &error),
            _ => odd(&format!("it begins with {:?}", outside_bytes(&body[..body.len().min(200)]))),
        })
    }

    /// Lists objects, page by page, and gives each to `take` as it comes.
    pub async fn list(&self, query: ListQuery<'_>, take: &mut TakeListed<'_>) -> Result<(), ApiError> {
        let (mut token, mut restarted) = (String::new(), false);
        let mut seen = HashSet::new();
        loop {
            match self.list_page(&query.page(&token), take).await {
                Ok(next) if next.is_empty() => return Ok(()),
                Ok(next) => {
                    if seen.len() == MAX_PAGES {
                        return Err(ApiError::TooLarge(format!("the list has more than {MAX_PAGES} pages")));
                    }
                    if !seen.insert(next.clone()) {
                        return Err(odd("the list does not end: a page came twice"));
                    }
                    token = next;
                }
                // The list has changed too much meanwhile: begin once more, as kubectl does.
                Err(ApiError::Expired(_)) if !token.is_empty() && !restarted => {
                    restarted = true;
                    token.clear();
                    seen.clear();
                    take(Listed::Restarted)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives a page's objects to `take`, and returns the token of the next page; empty on the last.
    async fn list_page(&self, path: &str, take: &mut TakeListed<'_>) -> Result<String, ApiError> {
        #[derive(Default, Deserialize)]
        struct Metadata {
            #[serde(default, rename = "continue")]
            token: Option<String>,
        }
        let mut elements = Elements::of("items", MAX_OBJECT).keeping(&["kind", "metadata"]);
        let mut received = 0;
        self.read(path, "application/json", &mut |chunk| {
            received += chunk.len() as u64;
            if received > MAX_PAGE {
                return Err(too_large(MAX_PAGE));
            }
            elements.feed(chunk, |object| take(Listed::Object(object)))
        })
        .await?;
        let kind = serde_json::from_slice::<String>(elements.kept("kind")).unwrap_or_default();
        let metadata = match elements.kept("metadata") {
            b"" => Metadata::default(),
            json => {
                serde_json::from_slice(json).map_err(|error| ApiError::unreadable("the list's metadata", &error))?
            }
        };
        elements.finish().map_err(ApiError::from)?;
        if !kind.ends_with("List") {
            return Err(odd(&format!("a list was asked for, and came {:?}", outside(&kind))));
        }
        Ok(metadata.token.unwrap_or_default())
    }

    /// Sends a GET and gives the body of its answer to `take`; a server that is busy is asked again.
    async fn read(
        &self,
        path: &str,
        accept: &str,
        take: &mut (dyn FnMut(&[u8]) -> Result<(), ApiError> + Send),
    ) -> Result<(), ApiError> {
        let mut retry = Retry::within(self.deadline);
        loop {
            let reading = self.read_once(path, accept, take);
            let outcome = self.deadline.answer(self.request_timeout, reading).await;
            match outcome.unwrap_or_else(|timed_out| Err(timed_out.into())) {
                // What is busy has given no part of a body.
                Err(error) if retry.again(&error).await => {}
                other => return other,
            }
        }
    }

    async fn read_once(
        &self,
        path: &str,
        accept: &str,
        take: &mut (dyn FnMut(&[u8]) -> Result<(), ApiError> + Send),
    ) -> Result<(), ApiError> {
        let started = Instant::now();
        let request = http::Request::get(path).header(http::header::ACCEPT, accept);
        let answer = self.open(request).await?;
        let (status, mut body, mut received) = (answer.status(), answer.into_body(), 0);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                let cause = outside(&innermost(&error));
                ApiError::Unreachable(format!("{}: its answer broke off after {received} bytes: {cause}", self.server))
            })?;
            if let Some(chunk) = frame.data_ref() {
                received += chunk.len() as u64;
                take(chunk)?;
            }
        }
        tracing::debug!("GET {path} {}, {received} bytes in {} ms", status.as_u16(), started.elapsed().as_millis());
        Ok(())
    }

    /// Sends a request and gives its answer if that is a success; of a refusal no more is read than is told. The caller
    /// sets the deadline.
    pub(super) async fn open(&self, request: http::request::Builder) -> Result<http::Response<Body>, ApiError> {
        let request = request
            .body(Body::empty())
            .map_err(|error| ApiError::Config(format!("the request cannot be put into words: {error}")))?;
        let started = Instant::now();
        let what = format!("{} {}", request.method(), request.uri());
        let answer = self.client.send(request).await.map_err(|error| {
            let error = ApiError::from_transport(&error, &self.server);
            tracing::debug!("{what} failed in {} ms: {error}", started.elapsed().as_millis());
            error
        })?;
        let status = answer.status();
        if !status.is_client_error() && !status.is_server_error() {
            return Ok(answer);
        }
        let headers = answer.headers().clone();
        let (mut body, mut text) = (answer.into_body(), Vec::new());
        while text.len() < MAX_ERROR
            && let Some(Ok(frame)) = body.frame().await
        {
            if let Some(chunk) = frame.data_ref() {
                text.extend_from_slice(&chunk[..chunk.len().min(MAX_ERROR - text.len())]);
            }
        }
        tracing::debug!("{what} {} in {} ms", status.as_u16(), started.elapsed().as_millis());
        Err(ApiError::from_answer(status, &headers, &text))
    }
}

fn too_large(limit: u64) -> ApiError {
    ApiError::TooLarge(format!("the API server's answer is larger than {} MiB", limit >> 20))
}

/// An object of a list, or what the list says of itself.
fn part_too_large(limit: usize) -> ApiError {
    let limit = if limit < 1 << 20 { format!("{} KiB", limit >> 10) } else { format!("{} MiB", limit >> 20) };
    ApiError::TooLarge(format!("a part of the API server's answer is larger than {limit}"))
}

/// An answer that is none to what was asked.
fn odd(reason: &str) -> ApiError {
    ApiError::Other { code: 200, message: format!("its answer is not what was asked for: {reason}") }
}

impl From<ElementError> for ApiError {
    fn from(error: ElementError) -> Self {
        match error {
            ElementError::TooLarge(limit) => part_too_large(limit),
            other => odd(&other.to_string()),
        }
    }
}
