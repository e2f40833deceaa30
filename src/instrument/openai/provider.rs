//! Who answers, by the host that is called.

use crate::semconv::gen_ai::provider_name;

/// Ends of host names, and whose they are.
const HOSTS: &[(&str, &str)] = &[
    ("openai.azure.com", provider_name::AZURE_AI_OPENAI),
    ("cognitiveservices.azure.com", provider_name::AZURE_AI_OPENAI),
    ("services.ai.azure.com", provider_name::AZURE_AI_INFERENCE),
    ("models.ai.azure.com", provider_name::AZURE_AI_INFERENCE),
    ("models.inference.ai.azure.com", provider_name::AZURE_AI_INFERENCE),
    ("anthropic.com", provider_name::ANTHROPIC),
    ("cohere.ai", provider_name::COHERE),
    ("cohere.com", provider_name::COHERE),
    ("deepseek.com", provider_name::DEEPSEEK),
    ("generativelanguage.googleapis.com", provider_name::GCP_GEMINI),
    ("aiplatform.googleapis.com", provider_name::GCP_VERTEX_AI),
    ("groq.com", provider_name::GROQ),
    ("ml.cloud.ibm.com", provider_name::IBM_WATSONX_AI),
    ("mistral.ai", provider_name::MISTRAL_AI),
    ("moonshot.ai", provider_name::MOONSHOT_AI),
    ("moonshot.cn", provider_name::MOONSHOT_AI),
    ("perplexity.ai", provider_name::PERPLEXITY),
    ("amazonaws.com", provider_name::AWS_BEDROCK),
    ("x.ai", provider_name::X_AI),
];

/// `gen_ai.provider.name`: the host's owner; a deployment in the path is Azure behind a name of its
/// own; anything else speaks OpenAI's protocol, which is what the attribute names where the
/// provider is not known.
pub(crate) fn provider(host: &str, has_deployment: bool) -> &'static str {
    let known = HOSTS.iter().find(|(end, _)| {
        let start = host.len().checked_sub(end.len());
        start.is_some_and(|start| {
            host.get(start..).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
                && (start == 0 || host.as_bytes().get(start - 1) == Some(&b'.'))
        })
    });
    match known {
        Some((_, provider)) => provider,
        None if has_deployment => provider_name::AZURE_AI_OPENAI,
        None => provider_name::OPENAI,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_owners() {
        assert_eq!(provider("api.openai.com", false), "openai");
        assert_eq!(provider("My.OpenAI.azure.com", true), "azure.ai.openai");
        assert_eq!(provider("gateway.example", true), "azure.ai.openai");
        assert_eq!(provider("api.x.ai", false), "x_ai");
        assert_eq!(provider("max.ai", false), "openai");
        assert_eq!(provider("x.ai", false), "x_ai");
        assert_eq!(provider("localhost", false), "openai");
    }
}
