//! `otel-mlflow dead-letter`: what could not be delivered, and what becomes of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use super::arguments::{DeadLetter as Wanted, Letters};
use super::{build, complain, say};
use crate::config::{ComponentKind, Config};
use crate::dates::date_from_days;
use crate::exporters::queued::{DeadLetter, DeadLetterError, DeadLetters};

/// The dead letters of a queue.
struct Queue {
    /// Pipeline and exporter.
    name: String,
    letters: DeadLetters,
}

/// Does what is wanted with the dead letters of all queues, and says what came of it.
pub(super) fn dead_letter(wanted: &Wanted, config: &Config) -> ExitCode {
    let queues = match queues(config) {
        Ok(queues) => queues,
        Err(reason) => {
            complain(&reason);
            return ExitCode::FAILURE;
        }
    };
    if queues.is_empty() {
        complain("no exporter of the configuration has a queue with a directory: there are no dead letters");
        return ExitCode::FAILURE;
    }
    let done = match wanted {
        Wanted::List => list(&queues),
        Wanted::Retry(which) => {
            change(&queues, which, "back in the queue", |letters, wanted| letters.retry(wanted))
        }
        Wanted::Drop(which) => change(&queues, which, "deleted", |letters, wanted| match which.all {
            true => letters.clear(),
            false => letters.remove(wanted),
        }),
    };
    match done {
        Ok(text) => say(&text),
        Err(reason) => {
            complain(&reason);
            ExitCode::FAILURE
        }
    }
}

/// The queues of a configuration that have a directory.
fn queues(config: &Config) -> Result<Vec<Queue>, String> {
    let mut queues = Vec::new();
    for (pipeline, parts) in &config.service.pipelines {
        for id in &parts.exporters {
            let Some(exporter) = config.component(ComponentKind::Exporter, id) else { continue };
            let (queue, _) = build::queue_of(exporter).map_err(|error| error.to_string())?;
            if let Some(directory) = queue.directory_of(pipeline, id) {
                queues.push(Queue { name: format!("{pipeline}/{id}"), letters: DeadLetters::new(directory) });
            }
        }
    }
    Ok(queues)
}

fn list(queues: &[Queue]) -> Result<String, String> {
    let mut text = String::new();
    for Queue { name, letters } in queues {
        let entries = letters.list().map_err(|error| error.to_string())?;
        let spans: usize = entries.letters.iter().map(|letter| letter.refused_spans).sum();
        let (count, path) = (entries.letters.len(), letters.path());
        let _ = match count {
            0 => writeln!(text, "{name}: no dead letters"),
            _ => writeln!(text, "{name}: {count} dead letters with {spans} spans in {}", path.display()),
        };
        for letter in &entries.letters {
            let _ = writeln!(text, "  {}", line(letter));
        }
        if entries.damaged > 0 {
            let _ = writeln!(text, "  {} lines of the file are damaged and cannot be read", entries.damaged);
        }
    }
    Ok(text)
}

fn line(letter: &DeadLetter) -> String {
    let DeadLetter { id, kind, reason, spans, refused_spans, .. } = letter;
    let spans = if refused_spans == spans {
        format!("{spans} spans")
    } else {
        format!("{refused_spans} of {spans} spans")
    };
    // One line each, whatever the destination said.
    let reason: String = reason.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
    format!("{id}  {}  {kind}  {spans}  {reason}", utc(letter.time / 1_000))
}

fn change(
    queues: &[Queue],
    which: &Letters,
    done: &str,
    how: impl Fn(&DeadLetters, &dyn Fn(&DeadLetter) -> bool) -> Result<Vec<DeadLetter>, DeadLetterError>,
) -> Result<String, String> {
    let mut missing: BTreeSet<&str> = which.ids.iter().map(String::as_str).collect();
    let (mut text, mut changed) = (String::new(), 0);
    for Queue { name, letters } in queues {
        let taken = how(letters, &|letter| which.all || which.ids.contains(&letter.id));
        let taken = taken.map_err(|error| format!("{text}{error}"))?;
        changed += taken.len();
        for letter in &taken {
            missing.remove(letter.id.as_str());
            let _ = writeln!(text, "{name}: {} {done}", line(letter));
        }
    }
    if !missing.is_empty() {
        let missing: Vec<_> = missing.into_iter().collect();
        return Err(format!("{text}there is no dead letter {}: see `dead-letter list`", missing.join(", ")));
    }
    if changed == 0 {
        text.push_str("there are no dead letters");
    }
    Ok(text)
}

/// Seconds since the Unix epoch as `2026-11-21 13:05:00Z`.
fn utc(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date_from_days(days);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00Z");
        assert_eq!(utc(1_795_267_800), "2026-11-21 13:30:00Z");
        assert_eq!(utc(4_107_542_400), "2100-03-01 00:00:00Z");
    }
}
