//! Google's Agent Development Kit.

use super::{ContentRule, Dialect, Source};
use crate::semconv::google_adk::*;

pub(super) const DIALECT: Dialect = Dialect {
    inputs: ContentRule::First(&[Source::Key(LLM_REQUEST), Source::Key(TOOL_CALL_ARGS)]),
    outputs: ContentRule::First(&[Source::Key(LLM_RESPONSE), Source::Key(TOOL_RESPONSE)]),
    session: Some(SESSION_ID),
    ..Dialect::NONE
};
