//! General names of the OpenTelemetry semantic conventions.

/// Resource attribute: name of the service.
pub const SERVICE_NAME: &str = "service.name";
/// Attribute: session that the operation belongs to.
pub const SESSION_ID: &str = "session.id";
/// Attribute: user who caused the operation.
pub const USER_ID: &str = "user.id";
/// Prefix of the resource attributes about the SDK.
pub const TELEMETRY_SDK_PREFIX: &str = "telemetry.sdk.";
/// Attribute: user who caused the operation, as it was called before.
pub const ENDUSER_ID: &str = "enduser.id";
/// Attribute: kind of the span, in formats that have none.
pub const SPAN_KIND: &str = "span.kind";
/// Attribute: name of the scope, in formats that have none.
pub const SCOPE_NAME: &str = "otel.scope.name";
/// Attribute: version of the scope, in formats that have none.
pub const SCOPE_VERSION: &str = "otel.scope.version";
/// Attribute: trace state, in formats that have none.
pub const TRACE_STATE: &str = "w3c.tracestate";
/// Attribute: message of the status, in formats that have none.
pub const STATUS_DESCRIPTION: &str = "otel.status_description";
/// Attribute: how many attributes the SDK discarded.
pub const DROPPED_ATTRIBUTES_COUNT: &str = "otel.dropped_attributes_count";
/// Attribute: how many events the SDK discarded.
pub const DROPPED_EVENTS_COUNT: &str = "otel.dropped_events_count";
/// Attribute: how many links the SDK discarded.
pub const DROPPED_LINKS_COUNT: &str = "otel.dropped_links_count";
/// Attribute: method of an HTTP call.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// Attribute, former: method of an HTTP call.
pub const HTTP_METHOD: &str = "http.method";
/// Attribute: kind of a remote call.
pub const RPC_SYSTEM: &str = "rpc.system";
/// Attribute: kind of a remote call.
pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";
/// Attribute: how often the request was sent again.
pub const HTTP_REQUEST_RESEND_COUNT: &str = "http.request.resend_count";
/// Attribute: what kind of error ended the operation.
pub const ERROR_TYPE: &str = "error.type";
/// Attribute: server that was called.
pub const SERVER_ADDRESS: &str = "server.address";
/// Attribute: port of the server that was called.
pub const SERVER_PORT: &str = "server.port";
/// Span event: an error, with its type and message.
pub const EXCEPTION: &str = "exception";
/// Attribute of [`EXCEPTION`]: type of the error.
pub const EXCEPTION_TYPE: &str = "exception.type";
/// Attribute of [`EXCEPTION`]: message of the error.
pub const EXCEPTION_MESSAGE: &str = "exception.message";
/// Resource attribute: version of the service.
pub const SERVICE_VERSION: &str = "service.version";
/// Resource attribute: which of the service's instances.
pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
/// Resource attribute: where the service is deployed, such as `production`.
pub const DEPLOYMENT_ENVIRONMENT_NAME: &str = "deployment.environment.name";
/// Resource attribute, former: where the service is deployed.
pub const DEPLOYMENT_ENVIRONMENT: &str = "deployment.environment";
/// Resource attribute: commit that the service was built from.
pub const VCS_REF_HEAD_REVISION: &str = "vcs.ref.head.revision";
/// Resource attribute: branch that the service was built from.
pub const VCS_REF_HEAD_NAME: &str = "vcs.ref.head.name";
/// Resource attribute: repository that the service was built from.
pub const VCS_REPOSITORY_URL_FULL: &str = "vcs.repository.url.full";
/// Resource attribute, of no convention but common: commit that the service was built from.
pub const GIT_COMMIT_SHA: &str = "git.commit.sha";
