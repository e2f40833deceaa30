//! An OpenAI server on a free port of this machine, which answers as the real one does.
//!
//! Without a script it looks at the request and gives the answer that the API would. A test can
//! script what the next requests get, and reads back what was sent, byte for byte.

pub(crate) mod audio;
pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod embeddings;
pub(crate) mod errors;
mod http;
pub(crate) mod images;
pub(crate) mod moderations;
pub(crate) mod objects;
pub(crate) mod reply;
pub(crate) mod responses;
mod route;
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub(crate) use http::Received;
pub(crate) use reply::Reply;

/// The key that the server knows.
pub(crate) const API_KEY: &str = "sk-fake-0123456789abcdef";

/// The server. It stops when it is dropped.
pub(crate) struct Fake {
    port: u16,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { port, state, accepting }
    }

    /// The address as `OPENAI_BASE_URL` has it.
    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// The address of an Azure resource.
    pub(crate) fn resource_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What the next request gets that no earlier call spoke for.
    pub(crate) fn next(&self, reply: Reply) {
        self.state.script.lock().unwrap().push_back(reply);
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// The only request so far.
    pub(crate) fn request(&self) -> Received {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "the server got {} requests", requests.len());
        requests[0].clone()
    }

    /// The requests so far, which are forgotten.
    pub(crate) fn take_requests(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.received.lock().unwrap())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // Dropped with this task, which ends the connections.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&state)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    stream.set_nodelay(true).unwrap();
    let mut buffered = Vec::new();
    while let Some(request) = http::read(&mut stream, &mut buffered).await {
        state.received.lock().unwrap().push(request.clone());
        let scripted = state.script.lock().unwrap().pop_front();
        let reply = scripted.unwrap_or_else(|| route::answer(&request));
        if !http::write(&mut stream, reply).await {
            return;
        }
    }
}
