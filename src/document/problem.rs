//! What is wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

/// Where a piece of configuration was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, or what stands for it: `--set key`, `built-in default`.
    pub source: Arc<str>,
    /// Line, from 1; 0 where the source has no lines.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => formatter.write_str(&self.source),
            line => write!(formatter, "{}:{line}:{}", self.source, self.column),
        }
    }
}

/// How grave a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but probably does not do what its author wants.
    Warning,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How grave it is.
    pub severity: Severity,
    /// The key, dotted from the top; empty where the whole file is meant.
    pub path: String,
    /// Where it was written, if anywhere.
    pub location: Option<Location>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// An error at a path.
    pub fn error(path: impl Into<String>, location: Option<Location>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, path: path.into(), location, message: message.into() }
    }

    /// A warning at a path.
    pub fn warning(path: impl Into<String>, location: Option<Location>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, path: path.into(), location, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(formatter, "{location}: ")?;
        }
        if self.severity == Severity::Warning {
            formatter.write_str("warning: ")?;
        }
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)
    }
}

/// All that is wrong with a configuration, in the order of finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Notes all problems of another list.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether one of them forbids to use the configuration.
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// The number of problems that forbid to use the configuration.
    pub fn errors(&self) -> usize {
        self.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Each problem.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// The number of problems.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of the files, so that a reader can go through them from the top.
    pub(crate) fn sorted(mut self) -> Self {
        self.0.sort_by_key(|problem| match &problem.location {
            Some(location) => (Arc::clone(&location.source), location.line, location.column),
            None => (Arc::from(""), 0, 0),
        });
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
