//! One connection, from its handshake to its end.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::{
    Limits,
    activity::{Activity, Watched},
};

/// For the last words of a connection that has to go.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// A client that is gone without a word is noticed within two of these.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// No handshake: no certificate to show, or one of us is not believed, or it is no TLS.
    HandshakeFailed,
    /// The client took too long for the handshake.
    HandshakeSlow,
    /// The client left.
    Closed,
    /// It broke, or was not understood.
    Broken,
    /// It was not used.
    Idle,
    /// The client took too long for the head of a request.
    HeadSlow,
    /// The process ends.
    Stopped,
}

impl End {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::HandshakeFailed => "handshake_failed",
            Self::HandshakeSlow => "handshake_slow",
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Idle => "idle",
            Self::HeadSlow => "head_slow",
            Self::Stopped => "stopped",
        }
    }
}

/// Serves a connection after its handshake. What speaks HTTP, and its buffers, are made when
/// somebody speaks: many connections are held in reserve.
pub(super) async fn serve(
    mut stream: TlsStream<TcpStream>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) -> End {
    let first = stop.run_until_cancelled(timeout(limits.idle, stream.fill_buf()));
    let end = match first.await {
        Some(Ok(Ok(bytes))) if !bytes.is_empty() => {
            return Box::pin(speak(stream, router, limits, stop)).await;
        }
        Some(Ok(Ok(_nothing))) => End::Closed,
        Some(Ok(Err(_))) => return End::Broken,
        Some(Err(_elapsed)) => End::Idle,
        None => End::Stopped,
    };
    // Whether the client still hears it or not.
    let _ = timeout(CLOSE_WITHIN, stream.shutdown()).await;
    end
}

/// Speaks what was agreed on in the handshake.
async fn speak(
    stream: TlsStream<TcpStream>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) -> End {
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let activity = Activity::new();
    let heads = (!is_h2).then(|| Arc::clone(&activity));
    let io = TokioIo::new(Watched { stream, heads });
    let requests = Arc::clone(&activity);
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = requests.begin();
        let answer = router.clone().call(request);
        async move {
            let answer = answer.await;
            drop(busy);
            answer
        }
    });
    if is_h2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(limits.head_bytes)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .serve_connection(io, service);
        see_off(
            connection,
            http2::Connection::graceful_shutdown,
            &activity,
            &limits,
            &stop,
        )
        .await
    } else {
        let connection = http1::Builder::new()
            // It would also end a connection that waits for its next request.
            .header_read_timeout(None::<Duration>)
            .max_header_size(limits.head_bytes as usize)
            .serve_connection(io, service);
        see_off(
            connection,
            http1::Connection::graceful_shutdown,
            &activity,
            &limits,
            &stop,
        )
        .await
    }
}

/// Runs a connection until it ends, has to go, or the process ends. One that is asked to `leave`
/// takes no further request and finishes what runs.
async fn see_off<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    leave: impl Fn(Pin<&mut C>),
    activity: &Activity,
    limits: &Limits,
    stop: &CancellationToken,
) -> End {
    let mut connection = pin!(connection);
    let mut stopped = pin!(stop.cancelled());
    let mut alarm = pin!(tokio::time::sleep(limits.idle));
    let mut leaving: Option<End> = None;
    poll_fn(|cx: &mut Context<'_>| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                let end = if result.is_ok() {
                    End::Closed
                } else {
                    End::Broken
                };
                return Poll::Ready(leaving.unwrap_or(end));
            }
            if leaving.is_none() && stopped.as_mut().poll(cx).is_ready() {
                leaving = Some(End::Stopped);
                leave(connection.as_mut());
                continue;
            }
            let (mut deadline, end) = activity.deadline(limits);
            if leaving == Some(End::Idle) {
                deadline += CLOSE_WITHIN;
            }
            // A later deadline is looked at when the alarm rings: moving it costs more.
            if deadline < alarm.deadline() {
                alarm.as_mut().reset(deadline);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if deadline > Instant::now() {
                alarm.as_mut().reset(deadline);
            } else if end == End::HeadSlow || leaving.is_some() {
                return Poll::Ready(leaving.unwrap_or(end));
            } else {
                leaving = Some(end);
                leave(connection.as_mut());
            }
        }
    })
    .await
}
