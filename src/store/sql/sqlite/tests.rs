mod group;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::store::sql::samples::update;

async fn open(path: PathBuf) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(&path, &SqlOptions::default()).await
}

async fn refusal(path: PathBuf) -> String {
    let error = open(path).await.err().unwrap();
    assert!(matches!(error, StoreError::Fatal { .. }), "{error:?}");
    error.to_string()
}

fn batch(trace_id: &str) -> Batch {
    Batch::new(vec![update(trace_id, 1)], ())
}

#[tokio::test]
async fn a_missing_folder_and_a_foreign_file_are_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(folder.path().join("no/such.db")).await.contains("does not exist"));
    assert!(refusal(folder.path().to_owned()).await.contains("is a folder"));
    let text = folder.path().join("text.db");
    std::fs::write(
        &text,
        "not a database, but long enough to have a header of one hundred bytes: ".repeat(9),
    )
    .unwrap();
    assert!(refusal(text).await.contains("not an SQLite database"));
}

#[tokio::test]
async fn a_file_that_vanished_takes_no_more_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = open(path.clone()).await.unwrap();
    store.write(batch("tr-1")).await.unwrap();
    std::fs::rename(&path, folder.path().join("b.db")).unwrap();
    let error = store.write(batch("tr-2")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Fatal { reason, .. } if reason.contains("moved")), "{error}");
}

#[tokio::test]
async fn a_locked_database_asks_for_a_retry() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = open(path.clone()).await.unwrap();
    let impatient = |database: &mut Database| {
        database.connection.busy_timeout(Duration::from_millis(1)).unwrap();
        Ok(())
    };
    store.run(impatient).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.write(batch("tr-1")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Retry { reason, .. } if reason.contains("write lock")), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.write(batch("tr-1")).await.unwrap(), []);
}

#[tokio::test]
async fn a_full_disk_asks_for_a_retry_and_keeps_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path().join("a.db")).await.unwrap();
    store.write(batch("tr-1")).await.unwrap();
    let limit = |pages: &str| {
        let pragma = format!("PRAGMA max_page_count = {pages}");
        store.run(move |database| {
            database.connection.query_row(&pragma, [], |_| Ok(())).unwrap();
            Ok(())
        })
    };
    limit("1").await.unwrap();
    let mut large = update("tr-2", 1);
    large.spans[0].content = "x".repeat(1 << 20);
    let error = store.write(Batch::new(vec![large.clone()], ())).await.unwrap_err();
    assert!(matches!(&error, StoreError::Retry { reason, .. } if reason.contains("disk is full")), "{error}");
    limit("1000000").await.unwrap();
    assert_eq!(store.write(Batch::new(vec![large], ())).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_not_writable_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    open(path.clone()).await.unwrap().close().await;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    match open(path).await {
        Err(error) => assert!(error.to_string().contains("read-only"), "{error}"),
        // The superuser may write to anything.
        Ok(store) => assert_eq!(store.write(batch("tr-1")).await.unwrap(), []),
    }
}

#[tokio::test]
async fn commits_are_durable_before_they_are_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path().join("a.db")).await.unwrap();
    let settings = store
        .run(|database| {
            let pragma = |name: &str| -> String {
                database
                    .connection
                    .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
                    .map(|value| format!("{value:?}"))
                    .unwrap()
            };
            Ok([pragma("journal_mode"), pragma("synchronous"), pragma("foreign_keys")])
        })
        .await
        .unwrap();
    assert_eq!(settings, ["Text(\"wal\")", "Integer(2)", "Integer(1)"]);
}

#[tokio::test]
async fn a_closed_store_says_so_and_leaves_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = open(path.clone()).await.unwrap();
    store.write(batch("tr-1")).await.unwrap();
    store.close().await;
    assert!(!folder.path().join("a.db-wal").exists());
    assert!(store.write(batch("tr-2")).await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn a_new_file_has_pages_for_several_spans() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path().join("a.db")).await.unwrap();
    let size = |database: &mut Database| {
        Ok(database.connection.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0)).unwrap())
    };
    assert_eq!(store.run(size).await.unwrap(), 16_384);
}
