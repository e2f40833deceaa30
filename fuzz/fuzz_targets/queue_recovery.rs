//! Any bytes as a segment, and any damage to a good one: the log opens, gives no changed record, loses none but the
//! damaged, and takes new ones.
#![no_main]

use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use opentelemetry_mlflow::queue::{Durability, Log, Options, SystemDisk};

const CURSOR: &str = "fuzz";

/// Bytes before the payload of a record.
const HEADER: usize = 32;

fn open(directory: &Path) -> Log {
    let cursors = vec![CURSOR.to_owned()];
    let options = Options { cursors, durability: Durability::Written, ..Options::default() };
    Log::open(directory, options, SystemDisk::new()).expect("damage never prevents start").0
}

fn drain(log: &Log) -> Vec<Vec<u8>> {
    let mut reader = log.reader(CURSOR).expect("the only reader");
    std::iter::from_fn(|| reader.next().expect("the disk is well"))
        .map(|record| record.payload.to_vec())
        .collect()
}

/// After whatever was found, the log works.
fn works(log: Log, directory: &Path) {
    let found = drain(&log).len();
    log.append(b"new"[..].into()).wait().expect("there is room");
    drop(log);
    let records = drain(&open(directory));
    assert_eq!(records.len(), found + 1);
    assert_eq!(records.last().map(Vec::as_slice), Some(&b"new"[..]));
}

fn segment(directory: &Path) -> PathBuf {
    let entries =
        std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.into_iter().find(|path| path.extension().is_some_and(|end| end == "segment")).expect("a segment")
}

/// Records as long as the first bytes say, then changes of two bytes for the place and one for the value.
fn damaged(directory: &Path, lengths: &[u8], changes: &[u8]) {
    let payloads: Vec<Vec<u8>> =
        (0_u8..).zip(lengths).map(|(number, &length)| vec![number; usize::from(length)]).collect();
    let log = open(directory);
    for payload in &payloads {
        log.append(payload.clone().into()).wait().expect("there is room");
    }
    drop(log);
    let path = segment(directory);
    let good = std::fs::read(&path).expect("a segment");
    let mut bytes = good.clone();
    for change in changes.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[place] = change[2];
    }
    std::fs::write(&path, &bytes).expect("a segment");
    let mut start = 0;
    let mut expected = Vec::new();
    for payload in payloads {
        let end = start + HEADER + payload.len();
        if bytes[start..end] == good[start..end] {
            expected.push(payload);
        }
        start = end;
    }
    let log = open(directory);
    assert_eq!(drain(&log), expected);
    works(log, directory);
}

fn recover(input: &[u8]) {
    let directory = std::env::temp_dir().join(format!("queue-recovery-{}", std::process::id()));
    // The run before this one left it.
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a directory");
    match input {
        [count @ 1..=20, rest @ ..] if rest.len() >= usize::from(*count) => {
            let (lengths, changes) = rest.split_at(usize::from(*count));
            damaged(&directory, lengths, changes);
        }
        bytes => {
            let name = "00000000000000000000-0000000100000000.segment";
            std::fs::write(directory.join(name), bytes).expect("a segment");
            works(open(&directory), &directory);
        }
    }
}

fuzz_target!(|input: &[u8]| recover(input));
