//! Names for what has none: MLflow's own are `adjective-noun-number`, so are these.

const FIRST: &[&str] = &[
    "able", "amber", "bold", "brave", "bright", "calm", "clever", "crisp", "daring", "eager", "fair",
    "gentle", "glad", "grand", "keen", "kind", "lively", "lucky", "merry", "mild", "neat", "noble", "proud",
    "quick", "quiet", "rapid", "sharp", "silent", "smooth", "swift", "warm", "wise",
];

const SECOND: &[&str] = &[
    "ant", "bear", "bee", "cat", "crane", "crow", "deer", "dove", "duck", "eagle", "elk", "finch", "fox",
    "frog", "goat", "hare", "hawk", "horse", "lark", "lynx", "mole", "moth", "newt", "otter", "owl", "robin",
    "seal", "snail", "stork", "swan", "toad", "wren",
];

/// A name such as `calm-otter-512`.
pub(super) fn random_name() -> String {
    let pick = |words: &[&'static str]| {
        words.get(rand::random_range(0..words.len().max(1))).copied().unwrap_or("run")
    };
    format!("{}-{}-{}", pick(FIRST), pick(SECOND), rand::random_range(0..1000))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_has_the_form_of_mlflows() {
        let name = super::random_name();
        let parts: Vec<_> = name.split('-').collect();
        assert_eq!(parts.len(), 3, "{name}");
        assert!(parts[2].parse::<u16>().unwrap() < 1000, "{name}");
        assert!(name.len() <= 20, "{name}");
    }
}
