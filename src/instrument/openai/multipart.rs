//! Forms with files (`multipart/form-data`, RFC 7578), read as they pass by.

use std::borrow::Cow;

use crate::genai::{Json, Modality, Part};

/// Longer values of fields are cut: a field is an option or a prompt.
const MAX_FIELD: usize = 256 * 1024;

/// Headers of a part longer than this are not a form.
const MAX_HEADERS: usize = 16 * 1024;

/// What a form holds: its texts, and of its files what they are.
#[derive(Debug, Default)]
pub(super) struct Form {
    fields: Vec<(String, String)>,
    files: Vec<FileField>,
}

/// A file of a form. Its bytes are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileField {
    name: Option<String>,
    media_type: Option<String>,
    size: usize,
}

impl FileField {
    /// The file as a part of a message.
    pub(super) fn part(&self, modality: Modality) -> Part<'static> {
        let mut members = vec![
            (Cow::Borrowed("type"), Json::from("file_upload")),
            (Cow::Borrowed("modality"), modality.as_str().into()),
        ];
        members.extend(self.media_type.clone().map(|kind| (Cow::Borrowed("mime_type"), kind.into())));
        members.extend(self.name.clone().map(|name| (Cow::Borrowed("filename"), name.into())));
        members.push((Cow::Borrowed("size"), Json::Int(i64::try_from(self.size).unwrap_or(i64::MAX))));
        Part::Other(Json::Object(members))
    }
}

impl Form {
    /// The first field of that name.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| Cow::Borrowed(value.as_str()))
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &FileField> {
        self.files.iter()
    }
}

/// Reads a form from the pieces in which it is sent.
#[derive(Debug)]
pub(super) struct Reader {
    /// `\r\n--boundary`, which ends each part.
    delimiter: Vec<u8>,
    form: Form,
    state: State,
    /// What has not been understood yet: headers, or the end of a piece that may begin a delimiter.
    pending: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Headers,
    Field(String),
    File,
    Done,
}

impl Reader {
    /// A reader for a content type with a boundary.
    pub(super) fn new(content_type: &str) -> Option<Self> {
        let (_, boundary) = content_type.split_once("boundary=")?;
        let boundary = boundary.split(';').next().unwrap_or_default().trim().trim_matches('"');
        if boundary.is_empty() {
            return None;
        }
        Some(Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            form: Form::default(),
            // The form begins with a delimiter that has no line before it; its rest is read as headers.
            state: State::Headers,
            pending: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        if self.state == State::Done {
            return;
        }
        self.pending.extend_from_slice(piece);
        while self.step() {}
    }

    pub(super) fn finish(self) -> Form {
        self.form
    }

    /// Understands one more thing; false if it needs more bytes.
    fn step(&mut self) -> bool {
        match &self.state {
            State::Done => false,
            State::Headers => self.headers(),
            State::Field(_) | State::File => self.content(),
        }
    }

    fn headers(&mut self) -> bool {
        let Some(end) = find(&self.pending, b"\r\n\r\n") else {
            let closed =
                self.pending.starts_with(b"--") && self.pending.get(2..4).is_some_and(|end| end == b"\r\n");
            if closed || self.pending.len() > MAX_HEADERS {
                self.stop();
            }
            return false;
        };
        let headers = String::from_utf8_lossy(self.pending.get(..end).unwrap_or_default()).into_owned();
        self.pending.drain(..end + 4);
        self.state = match parameter(&headers, "name") {
            Some(_) if parameter(&headers, "filename").is_some() => {
                let kind = headers.lines().find_map(|line| {
                    let (key, value) = line.split_once(':')?;
                    key.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
                });
                self.form.files.push(FileField {
                    name: parameter(&headers, "filename").filter(|name| !name.is_empty()),
                    media_type: kind,
                    size: 0,
                });
                State::File
            }
            Some(name) => State::Field(name),
            None => State::Field(String::new()),
        };
        true
    }

    /// Takes the content up to the next delimiter, or all that cannot begin one.
    fn content(&mut self) -> bool {
        let found = find(&self.pending, &self.delimiter);
        let held = self.delimiter.len() - 1;
        // Fields are kept whole until their end, as their value may come in pieces.
        match (&self.state, found) {
            (State::Field(name), Some(end)) => {
                let value = self.pending.get(..end.min(MAX_FIELD)).unwrap_or_default();
                let value = String::from_utf8_lossy(value).into_owned();
                self.form.fields.push((name.clone(), value));
            }
            (State::Field(_), None) => {
                if self.pending.len() > MAX_FIELD + self.delimiter.len() {
                    let from = MAX_FIELD;
                    let to = self.pending.len() - held;
                    self.pending.drain(from..to.max(from));
                }
                return false;
            }
            (_, Some(end)) => self.count(end),
            (_, None) => {
                let end = self.pending.len().saturating_sub(held);
                self.count(end);
                self.pending.drain(..end);
                return false;
            }
        }
        let end = found.unwrap_or_default() + self.delimiter.len();
        self.pending.drain(..end);
        self.state = State::Headers;
        true
    }

    fn count(&mut self, bytes: usize) {
        if let Some(file) = self.form.files.last_mut() {
            file.size += bytes;
        }
    }

    fn stop(&mut self) {
        self.state = State::Done;
        self.pending = Vec::new();
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = haystack.get(from..)?.iter().position(|byte| *byte == first) {
        let start = from + at;
        if haystack.get(start..)?.starts_with(needle) {
            return Some(start);
        }
        from = start + 1;
    }
    None
}

/// A parameter of the `Content-Disposition` header.
fn parameter(headers: &str, name: &str) -> Option<String> {
    let line = headers.lines().find(|line| {
        line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case("content-disposition"))
    })?;
    line.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        (key.trim() == name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
        Content-Type: audio/wav\r\n\r\n\r\n--xy\r\n-not-the-end\r\n--xyz\r\n\
        Content-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--xyz\r\n\
        Content-Disposition: form-data; name=\"temperature\"\r\n\r\n0.5\r\n--xyz--\r\n";

    #[test]
    fn a_form_is_the_same_however_it_is_cut() {
        for size in [1, 2, 3, 7, 50, FORM.len()] {
            let mut reader = Reader::new("multipart/form-data; boundary=xyz").unwrap();
            FORM.as_bytes().chunks(size).for_each(|piece| reader.push(piece));
            assert_eq!(reader.state, State::Done, "pieces of {size}");
            let form = reader.finish();
            assert_eq!(form.text("model").as_deref(), Some("whisper-1"), "pieces of {size}");
            assert_eq!(form.text("temperature").as_deref(), Some("0.5"));
            let file =
                FileField { name: Some("a.wav".into()), media_type: Some("audio/wav".into()), size: 20 };
            assert_eq!(form.files().collect::<Vec<_>>(), [&file]);
        }
    }

    #[test]
    fn big_files_and_fields_take_no_memory() {
        let mut reader = Reader::new("multipart/form-data; boundary=b").unwrap();
        reader.push(b"--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\n");
        (0..100).for_each(|_| reader.push(&[b'x'; 65536]));
        assert!(reader.pending.len() < 2 * MAX_FIELD);
        reader.push(b"\r\n--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n");
        (0..100).for_each(|_| reader.push(&[b'y'; 65536]));
        assert!(reader.pending.len() < 100);
        reader.push(b"\r\n--b--\r\n");
        let form = reader.finish();
        assert_eq!(form.text("prompt").map(|text| text.len()), Some(MAX_FIELD));
        assert_eq!(form.files().map(|file| file.size).collect::<Vec<_>>(), [6_553_600]);
    }

    #[test]
    fn what_is_no_form_is_given_up() {
        assert!(Reader::new("multipart/form-data").is_none());
        let mut reader = Reader::new("multipart/form-data; boundary=\"b\"").unwrap();
        reader.push(&[b'?'; 2 * MAX_HEADERS]);
        assert_eq!(reader.state, State::Done);
        assert_eq!(reader.finish().files().count(), 0);
    }
}
