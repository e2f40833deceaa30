//! Dead letters on their way back into the queue.

use super::super::*;
use super::support::*;
use crate::exporters::queued::returning::Returning;

/// A queue before a destination that holds everything, and its directory of dead letters.
async fn start_holding(directory: &Path, queue_size: usize) -> (QueuedExporter, Telemetry) {
    let queue = SendingQueueConfig { queue_size, ..on_disk(directory) };
    start(&Fake::new(|_| Answer::Hold), queue, quick()).await
}

fn letter(name: &str, bytes: usize) -> DeadLetter {
    DeadLetter::new(&StoredRequest::of(&request(name, bytes)), "rejected", "no", 2)
}

fn line(letter: &DeadLetter) -> String {
    format!("{}\n", serde_json::to_string(letter).unwrap())
}

/// Takes letters back as the queue does, apart from its runtime's workers.
async fn take_back(queued: &QueuedExporter, mut returning: Returning, times: usize) -> Returning {
    let shared = Arc::clone(&queued.shared);
    let taking = tokio::task::spawn_blocking(move || {
        for _ in 0..times {
            returning.take_back(&shared);
        }
        returning
    });
    taking.await.unwrap()
}

/// Scenario: the queue takes the first of two letters, and refuses the second again and again.
/// Guarantees: the first is there once, also for the next start of the process.
#[tokio::test]
async fn what_was_taken_back_is_not_taken_again() {
    let directory = tempfile::tempdir().unwrap();
    let (queued, _) = start_holding(&directory.path().join("queue"), 1 << 20).await;
    let letters = directory.path().join("letters");
    std::fs::create_dir(&letters).unwrap();
    let file = letters.join("retry-1.jsonl");
    let large = line(&letter("large", 2 << 20));
    std::fs::write(&file, line(&letter("small", 100)) + &large).unwrap();
    let returning = take_back(&queued, Returning::new(DeadLetters::new(&letters)), 3).await;
    assert_eq!(queued.shared.log.stats().appended_records, 1);
    returning.forget_taken();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), large);
}

/// Scenario: a file has lost a part of a line, and another its body.
/// Guarantees: what is whole is delivered, and the rest is kept for somebody to look at.
#[tokio::test]
async fn damaged_letters_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (queued, _) = start_holding(&directory.path().join("queue"), 1 << 20).await;
    let letters = DeadLetters::new(directory.path().join("letters"));
    std::fs::create_dir(directory.path().join("letters")).unwrap();
    let file = directory.path().join("letters/retry-1.jsonl");
    let rotten = DeadLetter { body: "?".to_owned(), ..letter("rotten", 100) };
    let text = format!("{{\"id\": 7\n{}{}", line(&rotten), line(&letter("whole", 100)));
    std::fs::write(&file, text).unwrap();
    let _ = take_back(&queued, Returning::new(letters.clone()), 1).await;
    assert_eq!(queued.shared.log.stats().appended_records, 1);
    assert_eq!(letters.list().unwrap(), Entries { letters: vec![rotten], damaged: 1 });
    assert!(!file.exists());
}
