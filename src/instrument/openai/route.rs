//! Which operation of the conventions a request is.

use http::Method;

use crate::semconv::gen_ai::operation_name;
use crate::semconv::openai::api_type;

/// An API that is traced. Everything else the client offers passes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Completions,
    Embeddings,
    Responses,
    FetchResponse,
    ImageGeneration,
    ImageEdit,
    ImageVariation,
    Speech,
    Transcription,
    Translation,
    Moderation,
    /// A response within a realtime session, which has no request of its own.
    Realtime,
}

impl Api {
    /// `gen_ai.operation.name`. The conventions name no operation for images, audio and
    /// moderations, and forbid other names: their nearest is multimodal content generation.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Chat | Self::Responses | Self::Realtime => operation_name::CHAT,
            Self::Completions => operation_name::TEXT_COMPLETION,
            Self::Embeddings => operation_name::EMBEDDINGS,
            Self::FetchResponse => operation_name::FETCH_RESPONSE,
            _ => operation_name::GENERATE_CONTENT,
        }
    }

    /// `openai.api.type`; beyond the registry's two values, the API's name tells its operations apart.
    pub(crate) fn api_type(self) -> Option<&'static str> {
        Some(match self {
            Self::Chat => api_type::CHAT_COMPLETIONS,
            Self::Responses | Self::FetchResponse => api_type::RESPONSES,
            Self::Embeddings => return None,
            Self::Completions => "completions",
            Self::ImageGeneration | Self::ImageEdit | Self::ImageVariation => "images",
            Self::Speech | Self::Transcription | Self::Translation => "audio",
            Self::Moderation => "moderations",
            Self::Realtime => "realtime",
        })
    }

    /// Whether a model generates something, in one of the operations that the conventions call inference.
    pub(crate) fn is_inference(self) -> bool {
        !matches!(self, Self::Embeddings | Self::FetchResponse)
    }

    /// Whether the call makes tokens that are paid for: reading an answer again does not.
    pub(crate) fn reports_usage(self) -> bool {
        self != Self::FetchResponse
    }
}

/// What the address of a request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route<'u> {
    pub(crate) api: Api,
    /// The deployment, which on Azure stands for the model.
    pub(crate) deployment: Option<&'u str>,
    /// The response that is read again.
    pub(crate) response_id: Option<&'u str>,
}

/// The operation behind a method and path; none if it is not traced. Only the end of the path
/// counts, as servers and proxies put the API under paths of their own.
pub(crate) fn route<'u>(method: &Method, path: &'u str) -> Option<Route<'u>> {
    let mut segments = path.rsplit('/').filter(|segment| !segment.is_empty());
    let (last, before) = (segments.next()?, segments.next().unwrap_or_default());
    let (api, response_id) = if method == Method::POST {
        let api = match (before, last) {
            ("chat", "completions") => Api::Chat,
            (_, "completions") => Api::Completions,
            (_, "embeddings") => Api::Embeddings,
            (_, "responses") => Api::Responses,
            ("images", "generations") => Api::ImageGeneration,
            ("images", "edits") => Api::ImageEdit,
            ("images", "variations") => Api::ImageVariation,
            ("audio", "speech") => Api::Speech,
            ("audio", "transcriptions") => Api::Transcription,
            ("audio", "translations") => Api::Translation,
            (_, "moderations") => Api::Moderation,
            _ => return None,
        };
        (api, None)
    } else if method == Method::GET && before == "responses" {
        (Api::FetchResponse, Some(last))
    } else {
        return None;
    };
    Some(Route { api, deployment: deployment(path), response_id })
}

/// The name after `/deployments/`.
fn deployment(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/deployments/")?;
    rest.split('/').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(method: Method, path: &str) -> Option<Api> {
        route(&method, path).map(|route| route.api)
    }

    #[test]
    fn operations_are_known_by_the_end_of_the_path() {
        assert_eq!(api(Method::POST, "/v1/chat/completions"), Some(Api::Chat));
        assert_eq!(api(Method::POST, "/proxy/openai/v1/completions"), Some(Api::Completions));
        assert_eq!(api(Method::POST, "/responses"), Some(Api::Responses));
        assert_eq!(api(Method::POST, "/v1/images/edits/"), Some(Api::ImageEdit));
    }

    #[test]
    fn everything_else_is_not_traced() {
        for path in
            ["/v1/models", "/v1/files", "/v1/responses/resp_1/cancel", "/v1/responses/input_tokens", "/"]
        {
            assert_eq!(api(Method::POST, path), None, "{path}");
        }
        for path in ["/v1/chat/completions", "/v1/responses", "/v1/responses/resp_1/input_items"] {
            assert_eq!(api(Method::GET, path), None, "{path}");
        }
        assert_eq!(api(Method::DELETE, "/v1/responses/resp_1"), None);
    }

    #[test]
    fn addresses_name_responses_and_deployments() {
        let path = "/v1/responses/resp_1";
        assert_eq!(route(&Method::GET, path).unwrap().response_id, Some("resp_1"));
        let path = "/openai/deployments/my-gpt/chat/completions";
        assert_eq!(route(&Method::POST, path).unwrap().deployment, Some("my-gpt"));
    }
}
