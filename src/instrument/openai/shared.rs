//! Texts that several signals carry, and that most calls have in common: the model, the server, the tier.
//!
//! A span is freed by the thread that exports it, so that each text of its own is a block of memory that
//! one thread takes and another gives back, which allocators are slowest at.

use std::cell::RefCell;
use std::sync::Arc;

use opentelemetry::StringValue;

/// How many texts a thread remembers: those of two models in turn.
const REMEMBERED: usize = 12;
/// Longer texts are no names.
const MAX_BYTES: usize = 64;

thread_local! {
    static RECENT: RefCell<Recent> = const { RefCell::new(Recent { texts: Vec::new(), oldest: 0 }) };
}

/// The last texts of a thread, without order.
struct Recent {
    texts: Vec<Arc<str>>,
    oldest: usize,
}

impl Recent {
    fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.iter().find(|known| ***known == *text) {
            return Arc::clone(known);
        }
        let new = Arc::<str>::from(text);
        match self.texts.get_mut(self.oldest).filter(|_| text.len() <= MAX_BYTES) {
            Some(oldest) => {
                *oldest = Arc::clone(&new);
                self.oldest = (self.oldest + 1) % REMEMBERED;
            }
            None if text.len() <= MAX_BYTES => {
                self.texts.push(Arc::clone(&new));
                self.oldest = self.texts.len() % REMEMBERED;
            }
            None => {}
        }
        new
    }
}

/// The text, copied only if the thread has not had it lately.
pub(crate) fn shared(text: &str) -> StringValue {
    // A thread that is ending remembers nothing.
    RECENT.try_with(|recent| recent.borrow_mut().get(text)).unwrap_or_else(|_| Arc::from(text)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_comes_again_is_not_copied() {
        let mut recent = Recent { texts: Vec::new(), oldest: 0 };
        let first = recent.get("gpt-4o");
        assert!(Arc::ptr_eq(&first, &recent.get("gpt-4o")));
        assert_eq!(&*recent.get("gpt-4o-mini"), "gpt-4o-mini");
        assert!(Arc::ptr_eq(&first, &recent.get("gpt-4o")));
    }

    #[test]
    fn only_so_many_short_texts_are_remembered() {
        let mut recent = Recent { texts: Vec::new(), oldest: 0 };
        let first = recent.get("0");
        (1..=REMEMBERED).for_each(|number| drop(recent.get(&number.to_string())));
        assert_eq!(recent.texts.len(), REMEMBERED);
        assert!(!Arc::ptr_eq(&first, &recent.get("0")));
        let last = recent.get(&REMEMBERED.to_string());
        assert!(Arc::ptr_eq(&last, &recent.get(&REMEMBERED.to_string())));
        let long = "x".repeat(MAX_BYTES + 1);
        assert_eq!(&*recent.get(&long), long);
        assert!(recent.texts.iter().all(|text| text.len() <= MAX_BYTES));
    }
}
