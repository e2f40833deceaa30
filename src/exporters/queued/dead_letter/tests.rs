//! Tests of dead letters.

use super::super::record::StoredRequest;
use super::*;
use crate::pipeline::RequestMetadata;

fn request(text: &'static [u8]) -> StoredRequest {
    let metadata = RequestMetadata {
        run_id: Some("run".to_owned()),
        json: true,
        bytes: text.len(),
        ..RequestMetadata::default()
    };
    StoredRequest { spans: 4, metadata, body: bytes::Bytes::from_static(text) }
}

fn add(letters: &DeadLetters, text: &'static [u8]) -> DeadLetter {
    let letter = DeadLetter::new(&request(text), "rejected", "no\nnewline", 4);
    letters.add(&letter, u64::MAX).unwrap();
    letter
}

#[test]
fn an_entry_gives_the_request_back() {
    let directory = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(directory.path().join("made/when/needed"));
    assert_eq!(letters.list().unwrap(), Entries::default());
    let added = add(&letters, b"spans");
    let listed = letters.list().unwrap();
    assert_eq!(listed, Entries { letters: vec![added], damaged: 0 });
    assert_eq!(listed.letters[0].request(), Some(request(b"spans")));
}

#[test]
fn a_record_that_could_not_be_read_goes_back_as_it_was() {
    let letter = DeadLetter::new(&request(b"form 9"), UNREADABLE, "no", 0);
    assert_eq!(letter.record().unwrap(), &b"form 9"[..]);
    let letter = DeadLetter::new(&request(b"spans"), "rejected", "no", 4);
    assert_eq!(letter.record().unwrap(), request(b"spans").encode());
}

#[test]
fn a_line_that_a_crash_cut_off_costs_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(directory.path());
    let first = add(&letters, b"1");
    add(&letters, b"2");
    let text = std::fs::read(letters.path()).unwrap();
    std::fs::write(letters.path(), &text[..text.len() - 9]).unwrap();
    let third = add(&letters, b"3");
    assert_eq!(letters.list().unwrap(), Entries { letters: vec![first.clone(), third.clone()], damaged: 1 });
    assert_eq!(letters.remove(|letter| *letter == first).unwrap(), [first]);
    let left = Entries { letters: vec![third.clone()], damaged: 1 };
    assert_eq!(letters.list().unwrap(), left, "what is damaged went with another");
    assert_eq!(letters.clear().unwrap(), [third]);
    assert_eq!(letters.list().unwrap(), Entries::default());
}

#[test]
fn what_is_retried_or_removed_is_listed_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(directory.path());
    let [first, second, third] = [add(&letters, b"1"), add(&letters, b"2"), add(&letters, b"3")];
    let retried = letters.retry(|letter| letter.id == second.id).unwrap();
    assert_eq!(retried, std::slice::from_ref(&second));
    assert_eq!(letters.remove(|letter| letter.id == first.id).unwrap(), [first]);
    assert_eq!(letters.list().unwrap().letters, [third]);
    let files = letters.to_retry();
    assert_eq!(files.len(), 1);
    assert_eq!(letters.read(&files[0]).unwrap().letters, [second]);
    assert_eq!(letters.retry(|_| false).unwrap(), []);
    assert_eq!(letters.to_retry(), files, "an empty file was made");
}

#[test]
fn the_file_does_not_outgrow_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(directory.path());
    add(&letters, b"1");
    let before = std::fs::read(letters.path()).unwrap();
    let letter = DeadLetter::new(&request(b"2"), "rejected", "", 4);
    let error = letters.add(&letter, before.len() as u64 + 10).unwrap_err();
    assert!(matches!(error, DeadLetterError::Full { .. }), "{error}");
    assert_eq!(std::fs::read(letters.path()).unwrap(), before);
}
