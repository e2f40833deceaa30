//! Tokens of a text, as OpenAI's models count them.

use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};

/// How a model cuts text into tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Of GPT-3.5 and GPT-4; what MLflow's metric uses unless told otherwise.
    #[default]
    Cl100kBase,
    /// Of GPT-4o and later models.
    O200kBase,
}

impl Encoding {
    /// Counts the tokens of a text. Names of special tokens in it, such as `<|endoftext|>`, count as ordinary
    /// text, where tiktoken refuses them.
    ///
    /// # Examples
    ///
    /// ```
    /// use opentelemetry_mlflow::evaluate::Encoding;
    ///
    /// assert_eq!(Encoding::Cl100kBase.count("The cat sat on the mat."), 7);
    /// ```
    pub fn count(self, text: &str) -> usize {
        self.vocabulary().count_ordinary(text)
    }

    fn vocabulary(self) -> &'static CoreBPE {
        match self {
            Self::Cl100kBase => cl100k_base_singleton(),
            Self::O200kBase => o200k_base_singleton(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::Encoding;

    #[test]
    fn counts_are_those_of_tiktoken() {
        let table: Value = serde_json::from_str(include_str!("../../tests/data/readability.json")).unwrap();
        for case in table["cases"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            for (name, encoding) in
                [("cl100k_base", Encoding::Cl100kBase), ("o200k_base", Encoding::O200kBase)]
            {
                assert_eq!(encoding.count(text), case[name], "{name} of {text:?}");
            }
        }
    }

    #[test]
    fn names_of_special_tokens_are_text() {
        assert!(Encoding::Cl100kBase.count("<|endoftext|>") > 1);
    }
}
