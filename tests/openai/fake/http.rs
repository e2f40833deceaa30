//! HTTP/1.1, as much of it as clients of OpenAI use.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::reply::{Ending, Reply};

/// A request as it came over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// In the order in which they were sent.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The same request with the boundary of its form, which is drawn anew each time, written as
    /// `BOUNDARY`.
    pub(crate) fn with_known_boundary(mut self) -> Self {
        let kind = self.header("content-type").unwrap_or_default().to_owned();
        let Some((_, boundary)) = kind.split_once("boundary=") else { return self };
        for (_, value) in &mut self.headers {
            *value = value.replace(boundary, "BOUNDARY");
        }
        let mut body = Vec::new();
        let mut rest = self.body.as_slice();
        while let Some(at) = find(rest, boundary.as_bytes()) {
            body.extend_from_slice(&rest[..at]);
            body.extend_from_slice(b"BOUNDARY");
            rest = &rest[at + boundary.len()..];
        }
        body.extend_from_slice(rest);
        self.body = body;
        self
    }
}

/// The next request of a connection, if there is one. What was read beyond it stays buffered.
pub(super) async fn read(stream: &mut TcpStream, buffered: &mut Vec<u8>) -> Option<Received> {
    let end = loop {
        match find(buffered, b"\r\n\r\n") {
            Some(at) => break at + 4,
            None => more(stream, buffered).await?,
        }
    };
    let head = String::from_utf8(buffered.drain(..end).collect()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut request = Received { method, target, headers, body: Vec::new() };
    request.body = match request.header("transfer-encoding") {
        Some("chunked") => read_chunks(stream, buffered).await?,
        _ => {
            let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
            take(stream, buffered, length).await?
        }
    };
    Some(request)
}

async fn read_chunks(stream: &mut TcpStream, buffered: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            match find(buffered, b"\r\n") {
                Some(at) => break at,
                None => more(stream, buffered).await?,
            }
        };
        let line = take(stream, buffered, end + 2).await?;
        let size = usize::from_str_radix(std::str::from_utf8(&line[..end]).unwrap(), 16).unwrap();
        let chunk = take(stream, buffered, size + 2).await?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

async fn take(stream: &mut TcpStream, buffered: &mut Vec<u8>, length: usize) -> Option<Vec<u8>> {
    while buffered.len() < length {
        more(stream, buffered).await?;
    }
    Some(buffered.drain(..length).collect())
}

async fn more(stream: &mut TcpStream, buffered: &mut Vec<u8>) -> Option<()> {
    let read = stream.read_buf(buffered).await.ok()?;
    (read > 0).then_some(())
}

/// Writes the answer and says whether the connection is good for another request.
pub(super) async fn write(stream: &mut TcpStream, reply: Reply) -> bool {
    if reply.ending == Ending::Silence {
        return wait_for_close(stream).await;
    }
    if stream.write_all(head(&reply).as_bytes()).await.is_err() {
        return false;
    }
    for (sent, piece) in reply.pieces.iter().enumerate() {
        match reply.ending {
            Ending::Disconnect(after) if sent == after => return false,
            Ending::Stall(after) if sent == after => return wait_for_close(stream).await,
            _ => {}
        }
        if let Some(gate) = &reply.gate {
            gate.pass().await;
        }
        if send(stream, piece, reply.chunked).await.is_err() {
            return false;
        }
    }
    match reply.ending {
        Ending::Disconnect(_) => false,
        Ending::Stall(_) => wait_for_close(stream).await,
        _ if reply.chunked => stream.write_all(b"0\r\n\r\n").await.is_ok(),
        _ => true,
    }
}

async fn send(stream: &mut TcpStream, piece: &[u8], chunked: bool) -> std::io::Result<()> {
    if !chunked {
        return stream.write_all(piece).await;
    }
    if piece.is_empty() {
        // An empty chunk would end the body.
        return Ok(());
    }
    let framed = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    stream.write_all(&framed).await
}

async fn wait_for_close(stream: &mut TcpStream) -> bool {
    let mut rest = [0; 64];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    false
}

fn head(reply: &Reply) -> String {
    let reason = match reply.status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Something Else",
    };
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("x-request-id: req_fake\r\nopenai-processing-ms: 7\r\nopenai-version: 2020-10-01\r\n");
    match reply.chunked {
        true => head.push_str("transfer-encoding: chunked\r\n\r\n"),
        false => {
            let length: usize = reply.pieces.iter().map(Vec::len).sum();
            head.push_str(&format!("content-length: {length}\r\n\r\n"));
        }
    }
    head
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
