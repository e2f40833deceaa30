//! Words, sentences and characters of a text.

/// What Python's `str.split()` and `\s` take for a space: Unicode's spaces and the four ASCII separators.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// What `\w` takes for a part of a word.
fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Characters, without spaces.
pub(super) fn characters(text: &str) -> usize {
    text.chars().filter(|character| !is_space(*character)).count()
}

/// The words, without punctuation, in their own case. An apostrophe stays where an English contraction
/// can follow it: `don't`, `they've`, `dog's`.
pub(super) fn words(text: &str) -> Vec<String> {
    let kept: String = text
        .char_indices()
        .filter(|(at, character)| match character {
            '\'' => before_contraction(text.get(at + 1..).unwrap_or_default()),
            other => is_word(*other) || is_space(*other),
        })
        .map(|(_, character)| character)
        .collect();
    kept.split(is_space).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn before_contraction(rest: &str) -> bool {
    rest.starts_with(['t', 's', 'd']) || ["ve", "ll", "re"].iter().any(|ending| rest.starts_with(ending))
}

/// Sentences of more than two words; at least one, unless the text is empty.
pub(super) fn sentences(text: &str) -> usize {
    if text.is_empty() {
        return 0;
    }
    pieces(text).into_iter().filter(|piece| words(piece).len() > 2).count().max(1)
}

/// What lies between the ends of sentences, each beginning at the edge of a word: `\b[^.!?]+[.!?]*`.
fn pieces(text: &str) -> Vec<&str> {
    let is_end = |character: char| matches!(character, '.' | '!' | '?');
    let mut found = Vec::new();
    let mut from = 0;
    let mut before = false;
    while let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
        let edge = |(_, character): &(usize, char)| {
            let here = is_word(*character);
            let at_edge = here != before;
            before = here;
            at_edge && !is_end(*character)
        };
        let Some((begin, _)) = rest.char_indices().find(edge) else { break };
        let piece = rest.get(begin..).unwrap_or_default();
        let said = piece.find(is_end).unwrap_or(piece.len());
        let tail = piece.get(said..).unwrap_or_default();
        let end = said + tail.find(|character| !is_end(character)).unwrap_or(tail.len());
        let piece = piece.get(..end).unwrap_or_default();
        before = piece.chars().next_back().is_some_and(is_word);
        from += begin + end;
        found.push(piece);
    }
    found
}
