//! What the processes do.

use std::time::Duration;

use opentelemetry::global;
use opentelemetry::trace::Tracer;
use opentelemetry_mlflow::autolog::{Autolog, AutologError, autolog};
use opentelemetry_mlflow::instrument::{Instrumentation, Scope};

use crate::child::VARIABLE;

/// What a process runs that the other tests start; there is nothing to do where none has started it.
#[test]
fn one_case() {
    let Ok(case) = std::env::var(VARIABLE) else { return };
    match case.as_str() {
        "no_runtime" => service(),
        "current_thread" => current_thread(async { service() }),
        "multi_thread" => multi_thread(async { tokio::spawn(async { service() }).await.unwrap() }),
        "panic_without_runtime" => service_that_panics(),
        "panic_on_current_thread" => current_thread(async { service_that_panics() }),
        "no_spans" => drop(autolog().unwrap()),
        "start_error" => println!("{}", autolog().unwrap_err()),
        "many_spans" => current_thread(async { many_spans() }),
        "twice" => twice(),
        "settings" => settings(),
        other => panic!("there is no case {other}"),
    }
}

fn current_thread(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

fn multi_thread(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work);
}

fn record() {
    let _scope = Scope::new().user_id("u").enter();
    let tracer = global::tracer("test");
    tracer.in_span("outer", |_| tracer.in_span("inner", |_| {}));
}

fn service() {
    let _guard = autolog().unwrap();
    record();
}

fn service_that_panics() {
    let _guard = autolog().unwrap();
    record();
    panic!("the service fails");
}

fn many_spans() {
    let guard = Autolog::new().silent(true).flush_timeout(Duration::from_millis(300)).start().unwrap();
    let tracer = global::tracer("test");
    for _ in 0..3_000 {
        tracer.in_span("one", |_| {});
    }
    let flushed = guard.flush(Duration::from_millis(300)).is_ok();
    drop(guard);
    println!("recorded 3000, flushed {flushed}");
}

fn twice() {
    let guard = autolog().unwrap();
    assert!(matches!(autolog(), Err(AutologError::AlreadyStarted)));
    drop(guard);
    drop(autolog().unwrap());
}

fn settings() {
    let _guard = autolog().unwrap();
    println!("{:?}", Instrumentation::global());
}
