//! Traces whose root has not come: found by their mark, and closed.

use super::SqlStore;
use super::session::{Fault, Session, values};
use crate::dates::to_rfc3339;
use crate::mlflow::records::TraceState;
use crate::semconv::otel_mlflow::{END_AWAITED, END_NOT_RECEIVED};
use crate::store::tracking::Answer;

/// Traces of one transaction: their rows are locked until its end.
const AT_ONCE: i64 = 100;

/// The tags of one key lie together in the primary key. RFC 3339 in one time zone sorts as text.
const MARKED: &str = "
    SELECT request_id FROM trace_tags WHERE key = $1 AND value < $2 ORDER BY request_id LIMIT $3";

const LOCK: &str = "SELECT status FROM trace_info WHERE request_id = $1 FOR UPDATE";

const MARK: &str = "SELECT value FROM trace_tags WHERE key = $1 AND request_id = $2";

/// The head changes, so the number of writes does, too: by it others see that there is something new.
const CLOSE: &str = "
    UPDATE trace_info SET status = $2, db_payload_generation = db_payload_generation + 1 WHERE request_id = $1";

const SET_TAG: &str = "
    INSERT INTO trace_tags (key, value, request_id) VALUES ($1, $2, $3)
    ON CONFLICT (key, request_id) DO UPDATE SET value = excluded.value";

const DELETE_TAG: &str = "DELETE FROM trace_tags WHERE key = $1 AND request_id = $2";

/// What one look for unfinished traces did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Traces that were closed.
    pub closed: usize,
    /// Whether there may be more to close.
    pub more: bool,
}

impl SqlStore {
    /// Closes traces that gateways have marked as waiting for their root and that were last written to
    /// before a time, in milliseconds since the Unix epoch; some of them at a time.
    ///
    /// A closed trace has the state `STATE_UNSPECIFIED`, which a late root still changes, and the tag
    /// `otel_mlflow.end_not_received`. Traces that are being written meanwhile are left alone.
    ///
    /// # Errors
    ///
    /// As any call of the tracking interface; then nothing is closed.
    pub fn close_unfinished_traces(&self, before_ms: i64) -> Answer<'_, Swept> {
        self.change(to_rfc3339(before_ms), |db, before| Box::pin(close(db, before)))
    }
}

async fn close(db: &mut dyn Session, before: &str) -> Result<Swept, Fault> {
    let marked = db.query(MARKED, values![END_AWAITED, before, AT_ONCE]).await?;
    let mut states = Vec::with_capacity(marked.len());
    // All locks first, in the order in which writers take them.
    for row in &marked {
        let trace_id = row.text(0);
        let state = db.query(LOCK, values![&trace_id]).await?;
        states.push((trace_id, state.first().map(|row| TraceState::from_stored(&row.text(0)))));
    }
    let mut closed = 0;
    for (trace_id, state) in &states {
        // Another gateway may have written to the trace, or closed it, while its lock was waited for.
        let mark = db.query(MARK, values![END_AWAITED, trace_id]).await?;
        let Some(last_write) = mark.first().map(|row| row.text(0)) else { continue };
        if last_write.as_str() >= before {
            continue;
        }
        if *state == Some(TraceState::InProgress) {
            db.execute(CLOSE, values![trace_id, TraceState::Unspecified.as_str()]).await?;
            db.execute(SET_TAG, values![END_NOT_RECEIVED, last_write, trace_id]).await?;
            closed += 1;
        }
        // Of a trace that somebody else has ended, only the mark goes.
        db.execute(DELETE_TAG, values![END_AWAITED, trace_id]).await?;
    }
    Ok(Swept { closed, more: i64::try_from(marked.len()).is_ok_and(|found| found >= AT_ONCE) })
}
