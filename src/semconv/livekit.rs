//! Names that LiveKit Agents uses.

/// Prefix of LiveKit's attributes.
pub const PREFIX: &str = "lk.";
/// Attribute: what the user said.
pub const USER_INPUT: &str = "lk.user_input";
/// Attribute: transcript of what the user said.
pub const USER_TRANSCRIPT: &str = "lk.user_transcript";
/// Attribute: the conversation so far.
pub const CHAT_CTX: &str = "lk.chat_ctx";
/// Attribute: text to speak.
pub const INPUT_TEXT: &str = "lk.input_text";
/// Attribute: text of the answer.
pub const RESPONSE_TEXT: &str = "lk.response.text";
/// Attribute: tool calls of the answer.
pub const RESPONSE_FUNCTION_CALLS: &str = "lk.response.function_calls";
/// Attribute: repeated calls of the model.
pub const RETRY_COUNT: &str = "lk.retry_count";
/// Prefix of the attributes of a tool call.
pub const FUNCTION_TOOL_PREFIX: &str = "lk.function_tool";
/// Attribute: name of the agent.
pub const AGENT_NAME: &str = "lk.agent_name";
/// Attribute: instructions of the agent.
pub const INSTRUCTIONS: &str = "lk.instructions";
/// Attribute: one turn of the agent.
pub const GENERATION_ID: &str = "lk.generation_id";
/// Prefix of the attributes of text to speech.
pub const TTS_PREFIX: &str = "lk.tts";
/// Attribute: confidence of the transcript.
pub const TRANSCRIPT_CONFIDENCE: &str = "lk.transcript_confidence";
/// Attribute: delay of the transcript.
pub const TRANSCRIPTION_DELAY: &str = "lk.transcription_delay";
