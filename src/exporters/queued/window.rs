//! How much of the log is with the exporter at a time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The most bytes that are read before the exporter has taken them.
const READ_AHEAD: usize = 4 << 20;

/// A bound on what was read and is not settled, in bytes; one larger request goes alone. Only what the exporter has not
/// taken yet is in memory here.
#[derive(Debug)]
pub(super) struct Window {
    state: Mutex<WindowState>,
    freed: Condvar,
    limit: usize,
}

#[derive(Debug, Default)]
struct WindowState {
    bytes: usize,
    /// What of them the exporter has not taken.
    ahead: usize,
    closed: bool,
}

impl Window {
    pub(super) fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), freed: Condvar::new(), limit }
    }

    fn state(&self) -> MutexGuard<'_, WindowState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks the thread until another request may be read; `false` when none should be any more.
    pub(super) fn wait(&self) -> bool {
        let mut state = self.state();
        while !state.closed && (state.bytes >= self.limit || state.ahead >= READ_AHEAD) {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.closed
    }

    /// Counts a request until what is returned is dropped.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Slot {
        let mut state = self.state();
        state.bytes += bytes;
        state.ahead += bytes;
        drop(state);
        Slot { window: Arc::clone(self), bytes, ahead: bytes }
    }

    /// Ends the reading.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.freed.notify_all();
    }
}

/// A request's part of the window.
#[derive(Debug)]
pub(super) struct Slot {
    window: Arc<Window>,
    bytes: usize,
    ahead: usize,
}

impl Slot {
    /// Takes note that the exporter has the request.
    pub(super) fn taken(&mut self) {
        let mut state = self.window.state();
        state.ahead = state.ahead.saturating_sub(std::mem::take(&mut self.ahead));
        drop(state);
        self.window.freed.notify_all();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.window.state();
        state.bytes = state.bytes.saturating_sub(self.bytes);
        drop(state);
        self.taken();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_opens_when_a_request_is_settled() {
        let window = Arc::new(Window::new(10));
        let first = window.take(6);
        assert!(window.wait(), "there is room");
        let _second = window.take(100);
        let waiting = std::thread::spawn({
            let window = Arc::clone(&window);
            move || window.wait()
        });
        drop(first);
        assert!(!waiting.is_finished(), "100 bytes are still there");
        drop(_second);
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn no_more_is_read_than_the_exporter_takes() {
        let window = Arc::new(Window::new(usize::MAX));
        let mut first = window.take(READ_AHEAD);
        let (opened, open) = std::sync::mpsc::sync_channel(1);
        let waiting = std::thread::spawn({
            let window = Arc::clone(&window);
            move || opened.send(window.wait())
        });
        open.recv_timeout(std::time::Duration::from_millis(20)).expect_err("nothing was taken");
        first.taken();
        assert!(open.recv().unwrap());
        waiting.join().unwrap().unwrap();
        drop(first);
        let state = window.state();
        assert_eq!((state.bytes, state.ahead), (0, 0));
    }

    #[test]
    fn a_closed_window_lets_the_reader_go() {
        let window = Arc::new(Window::new(1));
        let _full = window.take(1);
        window.close();
        assert!(!window.wait());
    }
}
