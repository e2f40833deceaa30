//! How many years of school a text asks for, as `textstat` computes it for MLflow's metrics.
//!
//! The algorithm is that of [textstat](https://pypi.org/project/textstat/) 0.7.13, down to the order of
//! the sums, so that a score equals the one that MLflow's evaluation of the same text logs. English only, as
//! MLflow uses it. Syllables come from CMU's pronouncing dictionary and, for other words, from hyphenation.

mod syllables;
mod words;

#[cfg(test)]
mod tests;

use words::{characters, sentences, words};

/// The Automated Readability Index: by characters a word and words a sentence. 0 for a text without words.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::evaluate::ari_grade_level;
///
/// assert_eq!(ari_grade_level("The capital of France is Paris.").floor(), 1.0);
/// ```
pub fn ari_grade_level(text: &str) -> f64 {
    let a_word = ratio(characters(text), text.split(words::is_space).filter(|word| !word.is_empty()).count());
    let a_sentence = ratio(words(text).len(), sentences(text));
    if a_word == 0.0 || a_sentence == 0.0 {
        return 0.0;
    }
    (4.71 * a_word) + (0.5 * a_sentence) - 21.43
}

/// The Flesch-Kincaid grade level: by words a sentence and syllables a word. 0 for a text without words.
pub fn flesch_kincaid_grade_level(text: &str) -> f64 {
    let found = words(text);
    let a_sentence = ratio(found.len(), sentences(text));
    let a_word = ratio(found.iter().map(|word| syllables::count(word)).sum(), found.len());
    if a_sentence == 0.0 || a_word == 0.0 {
        return 0.0;
    }
    (0.39 * a_sentence) + (11.8 * a_word) - 15.59
}

/// One by the other, and 0 by nothing.
#[expect(clippy::cast_precision_loss, reason = "no text has 2^53 characters")]
fn ratio(of: usize, by: usize) -> f64 {
    if by == 0 { 0.0 } else { of as f64 / by as f64 }
}
