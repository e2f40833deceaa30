//! General names of the OpenTelemetry semantic conventions.

/// Resource attribute: name of the service.
pub const SERVICE_NAME: &str = "service.name";
/// Attribute: session that the operation belongs to.
pub const SESSION_ID: &str = "session.id";
/// Attribute: user who caused the operation.
pub const USER_ID: &str = "user.id";
/// Prefix of the resource attributes about the SDK.
pub const TELEMETRY_SDK_PREFIX: &str = "telemetry.sdk.";
