//! Reading page after page.

use super::TrackingError;
use crate::mlflow::entities::{Page, Search};
use crate::store::tracking::Answer;

/// Everything that a search finds, or as much as it asks for.
pub(super) async fn all<'a, T>(
    mut search: Search,
    page: impl Fn(Search) -> Answer<'a, Page<T>>,
) -> Result<Vec<T>, TrackingError> {
    let wanted = search.max_results.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let mut items = Vec::new();
    loop {
        let before = search.page_token.clone();
        let found = page(search.clone()).await?;
        items.extend(found.items);
        // A server that names the same page again would never end.
        if items.len() >= wanted || found.next_page_token.is_none() || found.next_page_token == before {
            items.truncate(wanted);
            return Ok(items);
        }
        search.page_token = found.next_page_token;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(search: Search) -> Answer<'static, Page<u32>> {
        Box::pin(async move {
            let first: u32 = search.page_token.map_or(0, |token| token.parse().unwrap());
            let next = (first < 6).then(|| (first + 3).to_string());
            Ok(Page { items: (first..first + 3).collect(), next_page_token: next })
        })
    }

    #[tokio::test]
    async fn pages_are_read_until_there_is_no_more_or_enough() {
        assert_eq!(all(Search::default(), numbers).await.unwrap(), (0..9).collect::<Vec<_>>());
        let some = Search { max_results: Some(4), ..Search::default() };
        assert_eq!(all(some, numbers).await.unwrap(), [0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn a_page_that_names_itself_ends_the_search() {
        let same = |_| -> Answer<'static, Page<u32>> {
            Box::pin(async { Ok(Page { items: vec![1], next_page_token: Some("again".to_owned()) }) })
        };
        assert_eq!(all(Search::default(), same).await.unwrap(), [1, 1]);
    }
}
