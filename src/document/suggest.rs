//! Suggestions for misspelt words.

/// The candidate that a misspelt word most probably means, if one is near enough.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = normal(word);
    let tolerance = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &normal(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= tolerance && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?`, or else the choice there is.
pub(crate) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(closest) = closest(word, candidates.clone()) {
        return format!("; did you mean `{closest}`?");
    }
    match list(candidates) {
        known if known.is_empty() => "; there are none".to_owned(),
        known => format!("; known are {known}"),
    }
}

/// `a`, `b` and `c`, for a message.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Case, hyphens and camel case are the usual slips: they cost nothing.
fn normal(word: &str) -> String {
    word.chars().filter(|letter| !matches!(letter, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour() {
        let keys = ["tracking_uri", "timeout", "tls"];
        assert_eq!(closest("trackingUri", keys), Some("tracking_uri"));
        assert_eq!(closest("traking-uri", keys), Some("tracking_uri"));
        assert_eq!(closest("timeuot", keys), Some("timeout"));
        assert_eq!(closest("sending_queue", keys), None);
    }

    #[test]
    fn a_far_word_gets_the_whole_choice() {
        assert_eq!(hint("xyzzy", ["a1", "b2", "c3"]), "; known are `a1`, `b2` and `c3`");
        assert_eq!(hint("xyzzy", []), "; there are none");
    }
}
