//! Panics: mistakes in this program. Each is counted and logged, wherever it happens and whoever catches it.

use std::any::Any;
use std::panic::PanicHookInfo;

use super::Metrics;

/// The most of a panic's text that is logged: it may repeat the data that it was about.
const SHOWN: usize = 200;

/// Counts and logs every panic of the process, in place of the text that goes to standard error by itself.
pub fn watch_panics(metrics: Metrics) {
    std::panic::set_hook(Box::new(move |panic| {
        metrics.panicked();
        report(panic);
    }));
}

fn report(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(
        thread = thread.name().unwrap_or("unnamed"),
        location,
        "a task panicked: {}; this is a mistake in otel-mlflow, please report it",
        text(panic.payload())
    );
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a text").chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_panic_is_cut() {
        let payload: Box<dyn Any + Send> = Box::new("x".repeat(1_000));
        assert_eq!(text(payload.as_ref()).len(), SHOWN);
        assert_eq!(text(&7), "without a text");
    }
}
