//! Reading and decompressing bodies within limits.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use bytes::BytesMut;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt as _;

use super::admission::Reservation;
use super::failure::Failure;

/// The most that is set aside on a sender's word about the length of its body.
const TRUSTED_LENGTH: usize = 1 << 20;

/// How long the rest of a refused body is read.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How much is decompressed at a time, and so how much a bomb can exceed the limit by.
const CHUNK: usize = 64 << 10;

/// The largest zstd window: what every decoder for HTTP must have and none needs to exceed (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

impl Compression {
    /// The codings that are understood, as a header lists them.
    pub(super) const ACCEPTED: &'static str = "gzip, zstd, deflate, identity";

    /// Reads the value of `Content-Encoding` or `grpc-encoding`.
    pub(super) fn parse(value: Option<&http::HeaderValue>) -> Result<Self, Failure> {
        let name = value.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase());
        match name.as_deref() {
            None | Some("" | "identity") => Ok(Self::Identity),
            Some("gzip" | "x-gzip") => Ok(Self::Gzip),
            Some("deflate") => Ok(Self::Deflate),
            Some("zstd") => Ok(Self::Zstd),
            Some(other) => {
                let accepted = Self::ACCEPTED;
                let shown: String = other.chars().take(40).collect();
                Err(Failure::Unsupported(format!(
                    "the encoding `{shown}` is not supported: use one of {accepted}"
                )))
            }
        }
    }
}

/// Reads a body to its end, unless it gets larger than `limit` or takes longer than `timeout`.
pub(super) async fn collect(
    body: &mut Body,
    limit: usize,
    timeout: Duration,
    reservation: &mut Reservation,
) -> Result<Bytes, Failure> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(Failure::TooLarge { limit });
    }
    let read = async {
        let mut bytes = BytesMut::with_capacity(announced.min(TRUSTED_LENGTH));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failure::Invalid(format!("the body ended early: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > limit {
                return Err(Failure::TooLarge { limit });
            }
            reservation.grow(bytes.len() + data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    };
    tokio::time::timeout(timeout, read).await.unwrap_or(Err(Failure::TooSlow { limit: timeout }))
}

/// Reads what is left of a body that was refused, and forgets it. A sender that still writes while the
/// connection is closed sees a broken connection and repeats the request, instead of reading the answer.
pub(super) async fn drain(body: &mut Body, limit: usize) {
    let mut left = limit;
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // A sender that is slower than this will have to do with a broken connection.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, read).await;
}

/// Decompresses a body, and stops at the limit: a bomb costs the limit, no more.
pub(super) fn decompress(
    body: Bytes,
    compression: Compression,
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Bytes, Failure> {
    let source = body.as_ref();
    let result = match compression {
        Compression::Identity => return Ok(body),
        Compression::Gzip => read(MultiGzDecoder::new(source), source.len(), limit, reservation),
        Compression::Zstd => match zstd::stream::read::Decoder::with_buffer(source) {
            Ok(mut decoder) => match decoder.window_log_max(ZSTD_WINDOW_LOG) {
                Ok(()) => read(decoder, source.len(), limit, reservation),
                Err(error) => Err(Problem::Read(error)),
            },
            Err(error) => Err(Problem::Read(error)),
        },
        // "deflate" means zlib, but some senders leave its header out.
        Compression::Deflate if has_zlib_header(source) => {
            read(ZlibDecoder::new(source), source.len(), limit, reservation)
        }
        Compression::Deflate => read(DeflateDecoder::new(source), source.len(), limit, reservation),
    };
    let bytes = result.map_err(|problem| match problem {
        Problem::Read(error) if error.kind() == ErrorKind::OutOfMemory => Failure::TooLarge { limit },
        Problem::Read(error) => {
            Failure::Invalid(format!("the body is not valid {compression:?} data: {error}"))
        }
        Problem::Limit(failure) => failure,
    })?;
    drop(body);
    reservation.shrink(bytes.len());
    Ok(bytes.into())
}

enum Problem {
    Read(std::io::Error),
    Limit(Failure),
}

fn read(
    mut decoder: impl Read,
    compressed: usize,
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, Problem> {
    // Blocks, not one vector: that leaves its smaller selves behind while it grows, together as large as itself.
    let (mut blocks, mut length) = (Vec::new(), 0);
    loop {
        let mut block = Vec::with_capacity(CHUNK);
        length += decoder.by_ref().take(CHUNK as u64).read_to_end(&mut block).map_err(Problem::Read)?;
        if length > limit {
            return Err(Problem::Limit(Failure::TooLarge { limit }));
        }
        if block.is_empty() {
            return Ok(if blocks.len() == 1 { blocks.pop().unwrap_or_default() } else { blocks.concat() });
        }
        reservation.grow(compressed + length).map_err(Problem::Limit)?;
        blocks.push(block);
    }
}

/// RFC 1950: the method is 8, and both bytes are a multiple of 31.
fn has_zlib_header(bytes: &[u8]) -> bool {
    match bytes {
        [method, flags, ..] => method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::admission::Admission;
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn run(body: Vec<u8>, compression: Compression, limit: usize) -> Result<Bytes, Failure> {
        let mut reservation = Admission::new(1, 1 << 30).admit().unwrap();
        decompress(body.into(), compression, limit, &mut reservation)
    }

    #[test]
    fn every_coding_round_trips() {
        let text = b"to be or not to be ".repeat(10_000);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&text).unwrap();
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        raw.write_all(&text).unwrap();
        let members = [gzip(&text[..100]), gzip(&text[100..])].concat();
        for (compression, body) in [
            (Compression::Identity, text.clone()),
            (Compression::Gzip, gzip(&text)),
            (Compression::Gzip, members),
            (Compression::Zstd, zstd::encode_all(text.as_slice(), 3).unwrap()),
            (Compression::Deflate, zlib.finish().unwrap()),
            (Compression::Deflate, raw.finish().unwrap()),
        ] {
            assert!(run(body, compression, text.len()).unwrap() == text, "{compression:?}");
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let zeros = vec![0; 50 << 20];
        for (compression, body) in [
            (Compression::Gzip, gzip(&zeros)),
            (Compression::Zstd, zstd::encode_all(zeros.as_slice(), 3).unwrap()),
        ] {
            assert!(body.len() < 100_000);
            assert_eq!(run(body, compression, 1 << 20), Err(Failure::TooLarge { limit: 1 << 20 }));
        }
    }

    #[test]
    fn a_bomb_is_stopped_by_what_else_is_under_way() {
        let mut reservation = Admission::new(1, 1 << 20).admit().unwrap();
        let result =
            decompress(gzip(&vec![0; 5 << 20]).into(), Compression::Gzip, 64 << 20, &mut reservation);
        assert!(matches!(result, Err(Failure::Overloaded { .. })));
    }

    #[test]
    fn damaged_data_is_invalid() {
        let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 5].to_vec();
        for (compression, body) in [
            (Compression::Gzip, b"not gzip".to_vec()),
            (Compression::Gzip, cut(gzip(&[7; 1000]))),
            (Compression::Zstd, b"not zstd".to_vec()),
            (Compression::Zstd, cut(zstd::encode_all([7; 1000].as_slice(), 3).unwrap())),
            (Compression::Deflate, b"\xff\xff\xff\xff".to_vec()),
        ] {
            let result = run(body, compression, 1 << 20);
            assert!(matches!(result, Err(Failure::Invalid(_))), "{compression:?}: {result:?}");
        }
    }
}
