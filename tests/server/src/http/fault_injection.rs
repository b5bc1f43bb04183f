//! Commits the faults that a test ordered. Without orders every request passes through untouched.

use super::error::ApiError;
use crate::app::AppState;
use crate::faults::FaultAction;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::Notify;

/// Ends the connection on which a request came, without an answer.
#[derive(Clone, Default)]
pub(crate) struct ConnectionEnd(Arc<End>);

#[derive(Default)]
struct End {
    notify: Notify,
    is_ordered: AtomicBool,
}

impl ConnectionEnd {
    pub(crate) fn end(&self) {
        self.0.is_ordered.store(true, Ordering::Release);
        self.0.notify.notify_one();
    }

    pub(crate) async fn ended(&self) {
        self.0.notify.notified().await;
    }

    fn is_ordered(&self) -> bool {
        self.0.is_ordered.load(Ordering::Acquire)
    }
}

pub(crate) async fn inject(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let action = app.config.faults.of_request(request.method().as_str(), request.uri().path());
    let Some(action) = action else { return next.run(request).await };
    let connection = request.extensions().get::<ConnectionEnd>().cloned().unwrap_or_default();
    match action {
        FaultAction::Answer { status, code, retry_after_ms } => answer(status, code, retry_after_ms),
        FaultAction::Delay { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            next.run(request).await
        }
        FaultAction::DropAnswer => {
            next.run(request).await;
            connection.end();
            std::future::pending().await
        }
        FaultAction::DropConnection { after_bytes } => {
            let fault = BodyFault::End { left: after_bytes, connection: connection.clone() };
            let response = next.run(request.map(|body| Body::new(FaultyBody { body, fault }))).await;
            // What the handler says of a body that ended early is for nobody: the connection is gone.
            if connection.is_ordered() { std::future::pending().await } else { response }
        }
        FaultAction::FlipBit => {
            next.run(request.map(|body| Body::new(FaultyBody { body, fault: BodyFault::Flip }))).await
        }
    }
}

fn answer(status: u16, code: Option<String>, retry_after_ms: Option<i64>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let error = match retry_after_ms {
        Some(retry_after_ms) => ApiError::later(status, "fault", "a test ordered this answer", retry_after_ms),
        None => ApiError::new(status, "fault", "a test ordered this answer"),
    };
    error.with_code(code).into_response()
}

enum BodyFault {
    End { left: u64, connection: ConnectionEnd },
    Flip,
    Done,
}

/// A request body that something happens to.
struct FaultyBody {
    body: Body,
    fault: BodyFault,
}

impl HttpBody for FaultyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let BodyFault::End { left: 0, connection } = &self.fault {
            connection.end();
            return Poll::Ready(Some(Err(axum::Error::new("a test ended the connection"))));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
        let Ok(mut data) = frame.into_data() else { return Poll::Ready(None) };
        match &mut self.fault {
            BodyFault::End { left, .. } => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
                *left -= taken as u64;
                data.truncate(taken);
            }
            BodyFault::Flip if !data.is_empty() => {
                let mut bytes = data.to_vec();
                bytes[0] ^= 1;
                data = bytes.into();
                self.fault = BodyFault::Done;
            }
            BodyFault::Flip | BodyFault::Done => {}
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}
