//! Searching, page by page.

/// Which of active and deleted things are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ViewType {
    /// Those in use.
    #[default]
    ActiveOnly,
    /// Those in the recycle bin.
    DeletedOnly,
    /// Both.
    All,
}

impl ViewType {
    /// The name that MLflow's API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ActiveOnly => "ACTIVE_ONLY",
            Self::DeletedOnly => "DELETED_ONLY",
            Self::All => "ALL",
        }
    }
}

/// What to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The experiments to look in, where that applies.
    pub experiment_ids: Vec<String>,
    /// A condition in MLflow's filter language, passed to the server as it is.
    pub filter: Option<String>,
    /// Order, such as `metrics.latency_ms DESC`.
    pub order_by: Vec<String>,
    /// How many at most; without it as many as MLflow gives.
    pub max_results: Option<u32>,
    /// Where the page before ended.
    pub page_token: Option<String>,
    /// Active or deleted ones.
    pub view: ViewType,
}

/// One page of what was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next_page_token: Option<String>,
}
