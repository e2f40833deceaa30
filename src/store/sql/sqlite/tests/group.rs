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

/// Holds the thread until the sender is dropped.
fn hold(store: &SqliteStore) -> SyncSender<()> {
    let (release, held) = sync_channel::<()>(0);
    let wait = move |_: &mut Database| {
        // Ends with an error when the sender goes.
        let _ = held.recv();
    };
    assert!(store.jobs.try_send(Job::Run(Box::new(wait))).is_ok());
    release
}

/// Writes batches that wait together: the thread is held until all of them are there.
async fn write_together<const N: usize>(
    store: &SqliteStore,
    batches: [Batch; N],
) -> Vec<Result<Vec<RefusedUpdate>, StoreError>> {
    let release = hold(store);
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
    committed_traces(store).await.unwrap()
}

/// How many traces are stored; nothing if a transaction is open.
async fn committed_traces(store: &SqliteStore) -> Option<i64> {
    let count = |database: &mut Database| {
        let sql = "SELECT count(*) FROM trace_info";
        let count = database.connection.query_row(sql, [], |row| row.get(0)).unwrap();
        database.connection.is_autocommit().then_some(count)
    };
    with_database(store, count).await
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
    // A slow machine ends them for their time.
    let commits = commits.load(Ordering::Relaxed);
    assert!((2..=4).contains(&commits), "{commits}");
}

#[tokio::test]
async fn what_is_no_batch_sees_what_was_written_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = prepared(folder.path(), |_| ()).await;
    let release = hold(&store);
    let (written, seen, ()) =
        tokio::join!(store.write(batch("tr-1")), committed_traces(&store), async { drop(release) });
    assert_eq!(written.unwrap(), []);
    assert_eq!(seen, Some(1));
}

fn refuse_bad_spans(database: &mut Database) {
    let trigger = "CREATE TRIGGER t BEFORE INSERT ON spans WHEN NEW.name = 'bad' \
                   BEGIN SELECT RAISE(ABORT, 'bad name'); END";
    database.connection.execute_batch(trigger).unwrap();
}

/// A trace with a span that the database refuses, and a good one.
fn mixed(number: usize) -> Batch {
    let mut bad = update(&format!("tr-bad-{number}"), 1);
    bad.spans[0].name = "bad".to_owned();
    Batch::new(vec![bad, update(&format!("tr-good-{number}"), 1)], ())
}

fn refused(answer: &Result<Vec<RefusedUpdate>, StoreError>) -> Vec<usize> {
    answer.as_ref().unwrap().iter().map(|refused| refused.index).collect()
}

#[tokio::test]
async fn data_that_the_database_refuses_costs_itself_only_and_the_others_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = prepared(folder.path(), refuse_bad_spans).await;
    let answers = write_together(&store, [batch("tr-1"), mixed(1), batch("tr-3")]).await;
    let [before, bad, after] = &answers[..] else { panic!("{answers:?}") };
    let reason = before.as_ref().unwrap_err();
    assert!(reason.is_retryable() && reason.to_string().contains("bad name"), "{reason}");
    assert_eq!(refused(bad), [0]);
    assert!(after.is_ok());
    assert_eq!(traces(&store).await, 2);
    // From now on the others are not concerned.
    let answers = write_together(&store, [batch("tr-1"), mixed(2), batch("tr-4"), mixed(3)]).await;
    let all: Vec<_> = answers.iter().map(refused).collect();
    assert_eq!(all, [vec![], vec![0], vec![], vec![0]]);
    assert_eq!(traces(&store).await, 6);
}

#[tokio::test]
async fn a_file_that_vanishes_in_a_transaction_takes_none_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = prepared(folder.path(), |_| ()).await;
    let (path, moved) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let vanish = move |database: &mut Database| {
        let mut gone = false;
        let hook = move |_: rusqlite::hooks::Action, _: &str, _: &str, _| {
            if !std::mem::replace(&mut gone, true) {
                std::fs::rename(&path, &moved).unwrap();
            }
        };
        database.connection.update_hook(Some(hook)).unwrap();
    };
    with_database(&store, vanish).await;
    let error = store.write(batch("tr-1")).await.unwrap_err();
    assert!(error.to_string().contains("moved"), "{error}");
    assert_eq!(traces(&store).await, 0);
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
async fn another_batch_may_come_before_this_one_is_committed() {
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
        // MLflow's sessions wait for 20 seconds; a slow machine gets more.
        other.busy_timeout(Duration::from_secs(60)).unwrap();
        let mut write = other.prepare("UPDATE experiments SET last_update_time = ?1").unwrap();
        (0..3).try_for_each(|number| write.execute([number]).map(drop))
    });
    let outcome = other.await.unwrap();
    done.store(true, Ordering::Relaxed);
    for task in busy {
        task.await.unwrap();
    }
    assert_eq!(outcome, Ok(()));
}
