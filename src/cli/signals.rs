//! Ctrl-C, twice.

use tokio::sync::watch;

/// Counts the signals that ask this process to end: the first stops tidily, the second at once.
#[derive(Clone)]
pub struct Signals(watch::Receiver<u8>);

impl Signals {
    /// Starts listening. Must be called on the runtime.
    pub fn listen() -> Self {
        let (count, signals) = watch::channel(0_u8);
        let mut asked = Asked::new();
        tokio::spawn(async move {
            loop {
                asked.next().await;
                count.send_modify(|n| *n = n.saturating_add(1));
            }
        });
        Self(signals)
    }

    /// Ends when the first signal has come.
    pub async fn first(&self) {
        self.reached(1).await;
    }

    /// Ends when the second signal has come.
    pub async fn second(&self) {
        self.reached(2).await;
    }

    /// Ends when so many signals have come.
    pub async fn reached(&self, count: u8) {
        let mut signals = self.0.clone();
        if signals.wait_for(|n| *n >= count).await.is_err() {
            // The listener has ended with the runtime; no signal will come.
            std::future::pending().await
        }
    }
}

/// The signals that ask a process to end.
struct Asked {
    #[cfg(unix)]
    signals: Vec<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Asked {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        // One that cannot be listened to keeps its default, which ends the process.
        Self { signals: kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect() }
    }

    async fn next(&mut self) {
        std::future::poll_fn(|cx| {
            let ready = self.signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
            if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

#[cfg(not(unix))]
impl Asked {
    fn new() -> Self {
        Self {}
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
