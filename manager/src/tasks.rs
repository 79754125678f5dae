//! Tasks that end with the one who opened them.

use std::future::Future;

use parking_lot::Mutex;
use tokio::task::JoinSet;

/// Takes tasks while it is open.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<Option<JoinSet<()>>>);

/// Keeps [`Tasks`] open. Dropping it aborts them, and none is taken any more.
#[derive(Debug)]
pub(crate) struct Open<'a>(&'a Tasks);

impl Tasks {
    /// Takes tasks from now on.
    pub(crate) fn open(&self) -> Open<'_> {
        *self.0.lock() = Some(JoinSet::new());
        Open(self)
    }

    /// Runs `task` to its end, or until the [`Open`] is dropped; not at all when it is.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = self.0.lock().as_mut() {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }
}

impl Open<'_> {
    /// Takes no more tasks and waits for those that run.
    pub(crate) async fn finish(self) {
        let tasks = self.0.0.lock().take();
        if let Some(mut tasks) = tasks {
            while tasks.join_next().await.is_some() {}
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        *self.0.0.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn tasks_are_finished_or_aborted_and_none_begins_afterwards() {
        let tasks = Arc::new(Tasks::default());
        let open = tasks.open();
        let (tell, told) = oneshot::channel();
        tasks.spawn(async move { tell.send(()).unwrap() });
        open.finish().await;
        assert_eq!(told.await, Ok(()));

        let open = tasks.open();
        let (never, aborted) = oneshot::channel::<()>();
        tasks.spawn(async move {
            let _never = never;
            std::future::pending::<()>().await;
        });
        drop(open);
        assert!(aborted.await.is_err());

        let (tell, refused) = oneshot::channel();
        tasks.spawn(async move { tell.send(()).unwrap() });
        assert!(refused.await.is_err());
    }
}
