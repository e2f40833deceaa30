//! What tests/e2e/test_run_logging.py makes a job do: commands on standard input, one answer for each.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a program of the tests, one of whose commands is to panic"
)]

use std::error::Error;
use std::io::{BufRead, Write};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use opentelemetry_mlflow::tracking::{
    ActiveRun, Client, LoadTable, Outcome, RunLog, StartRun, Table, TrackingError,
};
use serde_json::{Value, json};

struct Job {
    client: Client,
    run: Option<ActiveRun>,
    log: Option<RunLog>,
}

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let mut builder = match std::env::var("JOB_RUNTIME").as_deref() {
        Ok("current") => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build()?;
    let client = runtime.block_on(Client::from_env())?;
    let mut job = Job { client, run: None, log: None };
    for line in std::io::stdin().lock().lines() {
        let command: Vec<Value> = serde_json::from_str(&line?)?;
        let begun = Instant::now();
        let answer = match runtime.block_on(job.obey(&command)) {
            Ok(answer) => json!({"ok": answer, "seconds": begun.elapsed().as_secs_f64()}),
            Err(error) => json!({"error": format!("{error:?}"), "message": error.to_string()}),
        };
        writeln!(std::io::stdout(), "{answer}")?;
    }
    // Whatever is still under way is dropped where there is no runtime any more.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

impl Job {
    async fn obey(&mut self, command: &[Value]) -> Result<Value, TrackingError> {
        let text = |at: usize| command.get(at).and_then(Value::as_str).unwrap_or_default();
        let number = |at: usize| command.get(at).and_then(Value::as_i64).unwrap_or_default();
        match text(0) {
            "start" => self.start(StartRun::named(text(1)).tag("kind", "test")).await,
            "resume" => self.start(StartRun::resume(text(1)).tag("again", "yes")).await,
            "start-anonymous" => self.start(StartRun::new()).await,
            "nested" => {
                let nested = self.run().start_nested(text(1)).await?;
                nested.log_metric("inner", 1.5, 0);
                let run_id = nested.run_id().map(str::to_owned);
                Ok(json!({"run_id": run_id, "outcome": counts(nested.finish().await)}))
            }
            "params" => {
                self.run().log_params([("alpha", "0.5"), ("wörd/β", "ü")]);
                self.run().log_param("number", 7);
                Ok(Value::Null)
            }
            "param" => {
                self.run().log_param(text(1), text(2));
                Ok(Value::Null)
            }
            "metrics" => {
                let begun = Instant::now();
                for step in 0..number(2) {
                    self.run().log_metric(text(1), step as f64 / 4.0, step);
                }
                Ok(json!(begun.elapsed().as_secs_f64()))
            }
            "metric" => {
                let value = command.get(2).and_then(Value::as_f64).unwrap_or(f64::NAN);
                self.run().log_metric(text(1), value, number(3));
                Ok(Value::Null)
            }
            "tag" => {
                self.run().set_tag(text(1), text(2));
                Ok(Value::Null)
            }
            "flush" => Ok(counts(self.run().flush().await)),
            "finish" => Ok(counts(self.take().finish().await)),
            "fail" => Ok(counts(self.take().fail().await)),
            "drop" => {
                drop(self.take());
                Ok(self.log.as_ref().map_or(Value::Null, |log| counts(log.outcome())))
            }
            "panic" => {
                let run = self.take();
                let unwound = std::panic::catch_unwind(AssertUnwindSafe(move || {
                    run.log_metric("before", 1.0, 0);
                    panic!("the job fails")
                }));
                assert!(unwound.is_err());
                Ok(Value::Null)
            }
            _ => self.artifact(command).await,
        }
    }

    async fn artifact(&self, command: &[Value]) -> Result<Value, TrackingError> {
        let text = |at: usize| command.get(at).and_then(Value::as_str).unwrap_or_default();
        if text(0) == "load-table" {
            let extra = text(3).split(',').filter(|column| !column.is_empty());
            let options = LoadTable::new().extra_columns(extra);
            let table = self.client.load_table(text(1), text(2), options).await?;
            return Ok(json!({"columns": table.columns(), "rows": table.rows()}));
        }
        let artifacts = self.run().artifacts()?;
        let json = |at: usize| command.get(at).cloned().unwrap_or_default();
        match text(0) {
            "text" => artifacts.log_text(text(2), text(1)).await.map(|()| Value::Null),
            "dict" => artifacts.log_dict(&json(2), text(1)).await.map(|()| Value::Null),
            "file" => artifacts.log_artifact(text(1), text(2)).await.map(|()| Value::Null),
            "folder" => artifacts.log_artifacts(text(1), text(2)).await.map(|()| Value::Null),
            "table" => {
                let rows = json(2);
                let table = Table::from_rows(rows.as_array().into_iter().flatten())?;
                self.run().log_table(&table, text(1)).await.map(|()| Value::Null)
            }
            "read" => artifacts.read(text(1)).await.map(|bytes| json!(String::from_utf8_lossy(&bytes))),
            "download" => artifacts.download(text(1), text(2)).await.map(|path| json!(path)),
            "list" => {
                let found = artifacts.list(text(1)).await?.into_iter();
                Ok(found.map(|file| json!([file.path, file.is_dir, file.size])).collect())
            }
            other => Err(TrackingError::invalid(format!("no such command: {other}"))),
        }
    }

    async fn start(&mut self, start: StartRun) -> Result<Value, TrackingError> {
        let run = self.client.start_run(start).await?;
        let run_id = run.run_id().map(str::to_owned);
        self.log = Some(run.log());
        self.run = Some(run);
        Ok(json!(run_id))
    }

    fn run(&self) -> &ActiveRun {
        self.run.as_ref().expect("a run is under way")
    }

    fn take(&mut self) -> ActiveRun {
        self.run.take().expect("a run is under way")
    }
}

fn counts(outcome: Outcome) -> Value {
    json!({
        "delivered": outcome.delivered,
        "spooled": outcome.spooled,
        "dropped": outcome.dropped,
        "refused": outcome.refused,
    })
}
