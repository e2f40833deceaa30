//! Databases that are not as they should be, or not there.

use super::*;

#[tokio::test]
async fn databases_that_are_not_known_are_left_alone() {
    for fresh in Fresh::all().await {
        fresh.run("CREATE TABLE orders (id INTEGER)").await;
        let error = fresh.try_open(SqlOptions::default()).await.err().unwrap();
        assert!(
            matches!(&error, StoreError::Fatal { reason, .. } if reason.contains("not MLflow's")),
            "{error}"
        );
        assert_eq!(fresh.rows("SELECT count(*) FROM orders").await, ["0"]);
    }
    for fresh in Fresh::all().await {
        fresh.open().await.close().await;
        fresh.run("UPDATE alembic_version SET version_num = 'bf29a5ff90ea'").await;
        let error = fresh.try_open(SqlOptions::default()).await.err().unwrap();
        assert!(
            matches!(&error, StoreError::Fatal { reason, .. } if reason.contains("bf29a5ff90ea")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_database_that_is_upgraded_while_it_is_open_takes_no_more_writes() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.write(vec![update(&id(1), 1)]).await.unwrap();
        fresh.run("UPDATE alembic_version SET version_num = 'ffffffffffff'").await;
        let error = store.write(vec![update(&id(2), 1)]).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Fatal { reason, .. } if reason.contains("ffffffffffff")),
            "{error}"
        );
        assert_eq!(fresh.rows("SELECT count(*) FROM trace_info").await, ["1"]);
    }
}

#[tokio::test]
async fn nothing_is_created_where_that_is_not_wanted() {
    for fresh in Fresh::all().await {
        let options = SqlOptions { create: false, ..SqlOptions::default() };
        assert!(matches!(fresh.try_open(options).await, Err(StoreError::Fatal { .. })));
    }
}

/// The store on the server with another part of its URL.
async fn elsewhere(server: &str, from: &str, to: &str) -> StoreError {
    assert!(server.contains(from), "{server} has no {from}");
    let uri = TrackingUri::parse(&server.replacen(from, to, 1)).unwrap();
    SqlStore::connect(&uri, SqlOptions::default()).await.err().unwrap()
}

#[tokio::test]
async fn what_is_wrong_with_a_postgresql_url_is_said() {
    for fresh in Fresh::all().await.into_iter().filter(|fresh| fresh.server.is_some()) {
        let (before, database) = fresh.uri.rsplit_once('/').unwrap();
        let error = elsewhere(&fresh.uri, database, "no_such_database").await;
        assert!(matches!(&error, StoreError::Fatal { reason, .. } if reason.contains("createdb")), "{error}");
        let address = before.rsplit_once(['@', '/']).unwrap().1;
        let login = format!("no_such_user:wrong@{address}");
        let uri = TrackingUri::parse(&format!("postgresql://{login}/{database}")).unwrap();
        let error = SqlStore::connect(&uri, SqlOptions::default()).await.err().unwrap();
        assert!(
            matches!(&error, StoreError::Fatal { reason, .. } if reason.contains("credentials")),
            "{error}"
        );
        let error = elsewhere(&format!("{}?x=1", fresh.uri), "x=1", "sslmode=require").await;
        assert!(matches!(&error, StoreError::Fatal { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let uri = TrackingUri::parse(&format!("postgresql://me:secret@127.0.0.1:{port}/mlflow")).unwrap();
    let error = SqlStore::connect(&uri, SqlOptions::default()).await.err().unwrap();
    assert!(
        matches!(&error, StoreError::Retry { reason, .. } if reason.contains("cannot be reached")),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_the_server_cut_is_replaced() {
    for fresh in Fresh::all().await.into_iter().filter(|fresh| fresh.server.is_some()) {
        let store = fresh.open().await;
        store.write(vec![update(&id(1), 1)]).await.unwrap();
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE application_name = 'otel-mlflow' AND datname = current_database()";
        assert_eq!(fresh.rows(cut).await, ["t"]);
        assert_eq!(store.write(vec![update(&id(2), 1)]).await.unwrap(), []);
        assert_eq!(fresh.rows("SELECT count(*) FROM trace_info").await, ["2"]);
    }
}
