//! What a connection is busy with, and until when it may be.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{Limits, connection::End};

/// Shared by the connection, its bytes and its requests.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    requests: usize,
    idle_since: Instant,
    /// The first byte of a request whose head is not complete.
    head_since: Option<Instant>,
}

/// A request that is worked on.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            requests: 0,
            idle_since: Instant::now(),
            head_since: None,
        })))
    }

    /// A head is complete: until the answer is ready, the time counts that the request may take.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        let mut state = self.0.lock();
        state.requests += 1;
        state.head_since = None;
        Busy(Arc::clone(self))
    }

    fn received(&self) {
        let mut state = self.0.lock();
        if state.requests == 0 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    /// When the connection has to go, and why.
    pub(super) fn deadline(&self, limits: &Limits) -> (Instant, End) {
        let state = self.0.lock();
        match state.head_since {
            _ if state.requests > 0 => (Instant::now() + limits.idle, End::Idle),
            Some(since) => (since + limits.head, End::HeadSlow),
            None => (state.idle_since + limits.idle, End::Idle),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.requests -= 1;
        state.idle_since = Instant::now();
    }
}

/// Bytes that tell when a head begins.
#[derive(Debug)]
pub(super) struct Watched<S> {
    pub(super) stream: S,
    /// None where heads cannot be told from other frames.
    pub(super) heads: Option<Arc<Activity>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(activity) = &self.heads
            && buf.filled().len() > before
        {
            activity.received();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
