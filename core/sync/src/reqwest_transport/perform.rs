//! One transfer from plan to answer.

use std::sync::Arc;

use reqwest::Body as RequestBody;
use snaptrak_domain::transport::{Body, IntoFile, Method, Plan, Response, TransferError, TransferEvents};
use url::Url;

use super::Shared;
use super::body::FileBody;
use super::failure::classify;
use super::sink;
use crate::origin::{is_allowed, is_loopback};

/// Headers of an answer that are kept; the rest is of no use and a server could send thousands.
const HEADERS_MAX: usize = 64;

pub(super) async fn perform(
    shared: &Shared,
    plan: Plan,
    events: Arc<dyn TransferEvents>,
) -> Result<Response, TransferError> {
    let url = Url::parse(&plan.url).map_err(|_| TransferError::Malformed)?;
    if !is_allowed(&url) {
        return Err(if url.scheme() == "http" { TransferError::PlainHttp } else { TransferError::Malformed });
    }
    let client = shared.client(is_loopback(&url))?;
    let mut request = client.request(method(plan.method), url);
    for (name, value) in &plan.headers {
        request = request.header(name, value);
    }
    request = match plan.body {
        // A POST without a body must say so: some servers answer 411 otherwise.
        Body::Empty => match plan.method {
            Method::Post | Method::Put | Method::Patch => request.header("content-length", "0"),
            Method::Get | Method::Head | Method::Delete => request,
        },
        Body::Bytes(bytes) => request.body(bytes),
        Body::File { path, offset, length } => {
            let body = FileBody::open(path, offset, length, plan.id, events).await;
            request.body(RequestBody::wrap(body.map_err(|_| TransferError::Source)?))
        }
    };
    let answer = request.send().await.map_err(|error| classify(&error))?;
    read(answer, plan.response_bytes_max, plan.into_file).await
}

/// Reads an answer whose length is bounded, whatever it says of itself.
async fn read(
    mut answer: reqwest::Response,
    bytes_max: u64,
    into_file: Option<IntoFile>,
) -> Result<Response, TransferError> {
    let status = answer.status().as_u16();
    let headers = answer
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .take(HEADERS_MAX)
        .collect();
    let mut body = Vec::new();
    if let Some(into) = into_file.filter(|_| sink::is_content(answer.status())) {
        sink::write(&mut answer, &into).await?;
        return Ok(Response { status, headers, body });
    }
    while let Some(chunk) = answer.chunk().await.map_err(|error| classify(&error))? {
        if body.len() as u64 + chunk.len() as u64 > bytes_max {
            return Err(TransferError::Malformed);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response { status, headers, body })
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}
