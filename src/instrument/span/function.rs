//! What the attribute macros expand to. Not an interface: it changes with the macros.
//!
//! Arguments and results may be of any type. Which of the traits below is used is decided where the
//! macro is used, by the number of references that a method call takes off: the most wanted form
//! has the most of them.

use std::fmt::{Debug, Display};
use std::future::Future;

use opentelemetry::Context;
use serde::Serialize;

pub use super::builder::SpanBuilder;
use super::handle::json;
use super::recording::Side;
use super::run::Run;
pub use super::{Span, SpanHandle};
use super::{builder, run};
use crate::genai::Json;

/// Starts the span of a function. The builder is made only where telemetry is on.
pub fn start(make: impl FnOnce() -> SpanBuilder) -> Span {
    let instrumentation = Context::map_current(builder::instrumentation);
    if instrumentation.settings().disabled {
        return Span::none();
    }
    make().instrumentation(&instrumentation).start()
}

/// Runs the body of an async function, and shows its result to the hook before the span ends.
pub fn run<F, H>(span: Span, body: F, hook: H) -> impl Future<Output = F::Output>
where
    F: Future,
    H: FnOnce(&SpanHandle, &F::Output),
{
    Run::new(span, body, hook)
}

/// Runs the body of a function, and shows its result to the hook before the span ends.
pub fn call<R>(span: Span, body: impl FnOnce() -> R, hook: impl FnOnce(&SpanHandle, &R)) -> R {
    run::call(span, body, hook)
}

/// Tells the compiler the type that a body returns; never called.
pub fn returned<T>() -> T {
    loop {
        std::hint::spin_loop();
    }
}

impl SpanHandle {
    /// Whether the arguments are of use.
    #[doc(hidden)]
    #[must_use]
    pub fn takes_arguments(&self) -> bool {
        self.0.as_ref().is_some_and(|recording| recording.takes_inputs())
    }

    /// Records the arguments.
    #[doc(hidden)]
    pub fn arguments<const N: usize>(&self, make: impl Fn() -> [(&'static str, Recorded); N]) {
        self.content(Side::Inputs, &mut || {
            Json::Object(make().into_iter().map(|(name, Recorded(value))| (name.into(), value)).collect())
        });
    }

    /// Records the result, where that is of use.
    #[doc(hidden)]
    pub fn result(&self, make: impl Fn() -> Recorded) {
        self.content(Side::Outputs, &mut || make().0);
    }

    /// Records an error.
    #[doc(hidden)]
    pub fn failure(&self, (name, message): (&'static str, Option<&dyn Display>)) {
        self.with(|recording| recording.failed(name, message));
    }
}

/// What is recorded of a value.
pub struct Recorded(Json<'static>);

/// A value of any type, whose `Debug` text may be recorded.
pub struct Shown<'a, T: ?Sized>(pub &'a T);

/// A value of any type, whose `Debug` text may not be recorded.
pub struct Plain<'a, T: ?Sized>(pub Shown<'a, T>);

/// A value as JSON.
pub trait AsJson {
    /// What is recorded of it.
    fn recorded(&self) -> Recorded;
}

impl<T: Serialize + ?Sized> AsJson for &&Shown<'_, T> {
    fn recorded(&self) -> Recorded {
        Recorded(json(self.0))
    }
}

impl<T: Serialize + ?Sized> AsJson for &&Plain<'_, T> {
    fn recorded(&self) -> Recorded {
        Recorded(json(self.0.0))
    }
}

/// A value as its `Debug` text, where that was asked for.
pub trait AsDebug {
    /// What is recorded of it.
    fn recorded(&self) -> Recorded;
}

impl<T: Debug + ?Sized> AsDebug for &Shown<'_, T> {
    fn recorded(&self) -> Recorded {
        Recorded(Json::from(format!("{:?}", self.0)))
    }
}

/// A value that is named by its type: nothing else can be said of it.
pub trait AsName {
    /// What is recorded of it.
    fn recorded(&self) -> Recorded;
}

impl<T: ?Sized> AsName for Shown<'_, T> {
    fn recorded(&self) -> Recorded {
        Recorded(named::<T>())
    }
}

impl<T: ?Sized> AsName for Plain<'_, T> {
    fn recorded(&self) -> Recorded {
        Recorded(named::<T>())
    }
}

fn named<T: ?Sized>() -> Json<'static> {
    Json::from(format!("<{}>", std::any::type_name::<T>()))
}

/// What a function returned.
pub struct Returned<'a, R>(pub &'a R);

/// No error.
#[derive(Clone, Copy, Debug)]
pub enum Never {}

/// A function that can fail.
pub trait Fallible<'a> {
    /// Its value.
    type Value;
    /// Its error.
    type Error;
    /// Which of the two it returned.
    ///
    /// # Errors
    /// The function's.
    fn outcome(&self) -> Result<&'a Self::Value, &'a Self::Error>;
}

impl<'a, T, E> Fallible<'a> for &Returned<'a, Result<T, E>> {
    type Value = T;
    type Error = E;

    fn outcome(&self) -> Result<&'a T, &'a E> {
        self.0.as_ref()
    }
}

/// A function that cannot fail.
pub trait Infallible<'a> {
    /// Its value.
    type Value;
    /// What it returned.
    ///
    /// # Errors
    /// None.
    fn outcome(&self) -> Result<&'a Self::Value, &'a Never>;
}

impl<'a, R> Infallible<'a> for Returned<'a, R> {
    type Value = R;

    fn outcome(&self) -> Result<&'a R, &'a Never> {
        Ok(self.0)
    }
}

/// An error of any type.
pub struct Failed<'a, E>(pub &'a E);

/// The name of an error's type, and what it says.
pub type Description<'a> = (&'static str, Option<&'a dyn Display>);

/// An error that says something.
pub trait AsMessage {
    /// What is recorded of it.
    fn described(&self) -> Description<'_>;
}

impl<E: Display> AsMessage for &Failed<'_, E> {
    fn described(&self) -> Description<'_> {
        (std::any::type_name::<E>(), Some(self.0))
    }
}

/// An error that says nothing.
pub trait AsType {
    /// What is recorded of it.
    fn described(&self) -> Description<'_>;
}

impl<E> AsType for Failed<'_, E> {
    fn described(&self) -> Description<'_> {
        (std::any::type_name::<E>(), None)
    }
}
