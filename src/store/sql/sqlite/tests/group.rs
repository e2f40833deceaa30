//! Batches that share a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::store::sql::sqlite::group::LONG_BYTES;

/// A store with what `prepare` does to its connection.
async fn prepared(folder: &Path, prepare: impl FnOnce(&mut Database) + Send + 'static) -> SqliteStore {
    let store = open(folder.join("a.db")).await.unwrap();
    with_database(&store, prepare).await;
    store
}

async fn with_database<T: Send + 'static>(
    store: &SqliteStore,
    work: impl FnOnce(&mut Database) -> T + Send + 'static,
) -> T {
    store.run(|database| Ok(work(database))).await.unwrap()
}

/// Writes batches that wait together: the thread is held until all of them are there.
async fn write_together<const N: usize>(
    store: &SqliteStore,
    batches: [Batch; N],
) -> Vec<Result<Vec<RefusedUpdate>, StoreError>> {
    let (release, held) = sync_channel::<()>(0);
    let wait = move |_: &mut Database| {
        // Ends with an error when the sender goes.
        let _ = held.recv();
    };
    assert!(store.jobs.try_send(Job::Run(Box::new(wait))).is_ok());
    let answers = futures_util::future::join_all(batches.map(|batch| store.write(batch)));
    tokio::join!(answers, async { drop(release) }).0
}

/// Counts commits.
fn counting(commits: &Arc<AtomicUsize>) -> impl FnOnce(&mut Database) + Send + use<> {
    let commits = Arc::clone(commits);
    let count = move || {
        commits.fetch_add(1, Ordering::Relaxed);
        false
    };
    |database| database.connection.commit_hook(Some(count)).unwrap()
}

async fn traces(store: &SqliteStore) -> i64 {
    let count = "SELECT count(*) FROM trace_info";
    with_database(store, |database| database.connection.query_row(count, [], |row| row.get(0)).unwrap()).await
}

fn large(trace_id: &str, bytes: usize) -> Batch {
    let mut large = update(trace_id, 1);
    large.spans[0].content = "x".repeat(bytes);
    Batch::new(vec![large], ())
}

#[tokio::test]
async fn batches_that_wait_share_a_transaction() {
    let (folder, commits) = (tempfile::tempdir().unwrap(), Arc::default());
    let store = prepared(folder.path(), counting(&commits)).await;
    let answers = write_together(&store, ["tr-1", "tr-2", "tr-1"].map(batch)).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(Vec::is_empty)), "{answers:?}");
    assert_eq!(commits.load(Ordering::Relaxed), 1);
    assert_eq!(traces(&store).await, 2);
}

#[tokio::test]
async fn a_long_transaction_is_committed_though_more_waits() {
    let (folder, commits) = (tempfile::tempdir().unwrap(), Arc::default());
    let store = prepared(folder.path(), counting(&commits)).await;
    let batches = ["tr-1", "tr-2", "tr-3", "tr-4"].map(|id| large(id, LONG_BYTES / 2));
    let answers = write_together(&store, batches).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(commits.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_is_no_batch_sees_what_was_written_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = prepared(folder.path(), |_| ()).await;
    let look = |database: &mut Database| database.connection.is_autocommit();
    let (written, outside) = tokio::join!(store.write(batch("tr-1")), with_database(&store, look));
    assert_eq!(written.unwrap(), []);
    assert!(outside, "in the batches' transaction");
}

#[tokio::test]
async fn data_that_the_database_refuses_costs_itself_only_and_the_others_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = "CREATE TRIGGER t BEFORE INSERT ON spans WHEN NEW.name = 'bad' \
                  BEGIN SELECT RAISE(ABORT, 'bad name'); END";
    let store = prepared(folder.path(), |database| database.connection.execute_batch(refuse).unwrap()).await;
    let mut bad = update("tr-bad", 1);
    bad.spans[0].name = "bad".to_owned();
    let mixed = Batch::new(vec![bad, update("tr-good", 1)], ());
    let answers = write_together(&store, [batch("tr-1"), mixed, batch("tr-3")]).await;
    let [before, mixed, after] = &answers[..] else { panic!("{answers:?}") };
    let reason = before.as_ref().unwrap_err();
    assert!(reason.is_retryable() && reason.to_string().contains("bad name"), "{reason}");
    let refused: Vec<_> = mixed.as_ref().unwrap().iter().map(|refused| refused.index).collect();
    assert_eq!(refused, [0]);
    assert!(after.is_ok());
    assert_eq!(traces(&store).await, 2);
    assert_eq!(store.write(batch("tr-1")).await.unwrap(), []);
    assert_eq!(traces(&store).await, 3);
}

#[tokio::test]
async fn a_failing_commit_is_told_to_every_batch() {
    let folder = tempfile::tempdir().unwrap();
    let store = prepared(folder.path(), |database| {
        database.connection.commit_hook(Some(|| true)).unwrap();
    })
    .await;
    let answers = write_together(&store, ["tr-1", "tr-2"].map(batch)).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(StoreError::is_retryable)), "{answers:?}");
    with_database(&store, |database| database.connection.commit_hook(None::<fn() -> bool>).unwrap()).await;
    assert_eq!(traces(&store).await, 0);
    assert_eq!(store.write(batch("tr-1")).await.unwrap(), []);
}

#[tokio::test]
async fn the_memory_of_a_batch_is_free_before_it_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let (held, holders) = (Arc::new(()), Arc::new(AtomicUsize::new(usize::MAX)));
    let (seen, noted) = (Arc::downgrade(&held), Arc::clone(&holders));
    let note = move || {
        noted.store(seen.strong_count(), Ordering::Relaxed);
        false
    };
    let store = prepared(folder.path(), |database| {
        database.connection.commit_hook(Some(note)).unwrap();
    })
    .await;
    store.write(Batch::new(vec![update("tr-1", 1)], held)).await.unwrap();
    assert_eq!(holders.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_writer_gets_its_turn_while_batches_wait() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(prepared(folder.path(), |_| ()).await);
    let done = Arc::new(AtomicBool::new(false));
    let busy = (0..4).map(|number| {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                store.write(large(&format!("tr-{number}"), LONG_BYTES / 3)).await.unwrap();
            }
        })
    });
    let busy: Vec<_> = busy.collect();
    let path = folder.path().join("a.db");
    let other = tokio::task::spawn_blocking(move || {
        let other = rusqlite::Connection::open(&path).unwrap();
        // As MLflow's sessions.
        other.busy_timeout(Duration::from_secs(20)).unwrap();
        let mut write = other.prepare("UPDATE experiments SET last_update_time = ?1").unwrap();
        (0..5).try_for_each(|number| write.execute([number]).map(drop))
    });
    let outcome = other.await.unwrap();
    done.store(true, Ordering::Relaxed);
    for task in busy {
        task.await.unwrap();
    }
    assert_eq!(outcome, Ok(()));
}
