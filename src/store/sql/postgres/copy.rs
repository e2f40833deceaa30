//! Rows in COPY's binary form, in large pieces.

use std::pin::Pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{Client, CopyInSink, Error, Statement};

/// The stream is sent in pieces of about this size; one message per row costs more than the row.
const PIECE: usize = 256 * 1024;

/// Signature, flags and length of the (empty) header extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Marks a NULL.
const NULL: i32 = -1;

/// A COPY into a table.
pub(super) struct Copy {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    buffer: BytesMut,
    columns: i16,
}

impl Copy {
    /// Starts a COPY of rows with so many columns.
    pub(super) async fn start(client: &Client, statement: &Statement, columns: i16) -> Result<Self, Error> {
        let sink = Box::pin(client.copy_in(statement).await?);
        let mut buffer = BytesMut::with_capacity(PIECE + PIECE / 4);
        buffer.put_slice(HEADER);
        Ok(Self { sink, buffer, columns })
    }

    /// Starts a row; its columns follow.
    pub(super) fn row(&mut self) -> &mut Self {
        self.buffer.put_i16(self.columns);
        self
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        // No text of such a length can be stored; the server then refuses the row.
        self.buffer.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
        self.buffer.put_slice(value.as_bytes());
        self
    }

    pub(super) fn optional_text(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    pub(super) fn int4(&mut self, value: i32) -> &mut Self {
        self.buffer.put_i32(4);
        self.buffer.put_i32(value);
        self
    }

    pub(super) fn int8(&mut self, value: i64) -> &mut Self {
        self.buffer.put_i32(8);
        self.buffer.put_i64(value);
        self
    }

    pub(super) fn optional_int8(&mut self, value: Option<i64>) -> &mut Self {
        match value {
            Some(value) => self.int8(value),
            None => self.null(),
        }
    }

    pub(super) fn optional_float8(&mut self, value: Option<f64>) -> &mut Self {
        let Some(value) = value else { return self.null() };
        self.buffer.put_i32(8);
        self.buffer.put_f64(value);
        self
    }

    fn null(&mut self) -> &mut Self {
        self.buffer.put_i32(NULL);
        self
    }

    /// Sends what has gathered, if it is enough.
    pub(super) async fn flush_if_large(&mut self) -> Result<(), Error> {
        if self.buffer.len() < PIECE {
            return Ok(());
        }
        let piece = self.buffer.split().freeze();
        self.buffer.reserve(PIECE + PIECE / 4);
        self.sink.send(piece).await
    }

    /// Sends the rest and waits until the server has taken all rows.
    pub(super) async fn finish(mut self) -> Result<(), Error> {
        self.buffer.put_i16(-1);
        self.sink.send(self.buffer.split().freeze()).await?;
        self.sink.as_mut().finish().await.map(|_| ())
    }
}
