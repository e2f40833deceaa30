//! A function with a span around its body.
//!
//! The signature stays as it is. The body becomes a closure, or an async block, so that `return` and
//! `?` leave the body and not the function; its result is looked at and handed on.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Block, Error, Expr, ExprAsync, ItemFn, Signature, Stmt};

use crate::options::{Macro, Options};
use crate::signature::{self, Argument};

/// The path to what generated code uses.
fn private() -> TokenStream {
    quote!(::opentelemetry_mlflow::__private)
}

pub(crate) fn expand(kind: Macro, options: TokenStream, item: TokenStream) -> TokenStream {
    match try_expand(kind, options, item.clone()) {
        Ok(expanded) => expanded,
        Err(problem) => {
            // The item stays, so that its users do not fail as well.
            let problem = problem.into_compile_error();
            quote!(#problem #item)
        }
    }
}

fn try_expand(kind: Macro, options: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let function: ItemFn = syn::parse2(item).map_err(|problem| {
        let message = format!(
            "#[{0}] belongs on a function with a body: put it on each `fn` to trace ({problem})",
            kind.name()
        );
        Error::new(problem.span(), message)
    })?;
    signature::check(&function.sig, kind.name())?;
    let options = Options::parse(kind, options)?;
    let arguments = signature::arguments(&function.sig);
    check_names(&options, &arguments)?;
    let plan = Plan { kind, options, arguments, function: &function };
    let body = plan.body();
    let ItemFn { attrs, vis, sig, .. } = &function;
    Ok(quote!(#(#attrs)* #vis #sig { #body }))
}

/// Every argument that an option names must be there.
fn check_names(options: &Options, arguments: &[Argument]) -> syn::Result<()> {
    for name in options.skip.iter().chain(&options.debug) {
        if !arguments.iter().any(|argument| argument.ident == *name) {
            let known: Vec<_> = arguments.iter().map(|argument| format!("`{}`", argument.ident)).collect();
            let known = match known.is_empty() {
                true => "it has none that is recorded".to_owned(),
                false => format!("it has {}", known.join(", ")),
            };
            return Err(Error::new(name.span(), format!("the function has no argument `{name}`: {known}")));
        }
    }
    Ok(())
}

struct Plan<'f> {
    kind: Macro,
    options: Options,
    arguments: Vec<Argument>,
    function: &'f ItemFn,
}

impl Plan<'_> {
    fn body(&self) -> TokenStream {
        let ItemFn { sig, block, .. } = self.function;
        if sig.asyncness.is_some() {
            let guide = returned_guide(sig);
            let run = self.run(quote!(move), &guide, block);
            return quote!(#run.await);
        }
        match boxed(block) {
            Some((before, future, pin)) => {
                let ExprAsync { attrs, capture, block, .. } = future;
                let run = self.run(quote!(#capture), &TokenStream::new(), block);
                let future = quote!(#(#attrs)* async #capture { #run.await });
                let future = pin.map_or(future.clone(), |pin| quote!(#pin(#future)));
                quote!(#(#before)* #future)
            }
            None => self.call(sig, block),
        }
    }

    fn call(&self, sig: &Signature, block: &Block) -> TokenStream {
        let (private, span, hook) = (private(), self.span(), self.hook());
        let returned = signature::returned(sig);
        quote_spanned! {Span::mixed_site()=>
            #private::call(#span, move || -> #returned #block, #hook)
        }
    }

    fn run(&self, capture: TokenStream, guide: &TokenStream, block: &Block) -> TokenStream {
        let (private, span, hook) = (private(), self.span(), self.hook());
        let statements = &block.stmts;
        quote_spanned! {Span::mixed_site()=>
            #private::run(#span, async #capture { #guide #(#statements)* }, #hook)
        }
    }

    /// The started span, with the arguments recorded.
    fn span(&self) -> TokenStream {
        let (private, builder) = (private(), self.builder());
        let wanted = self.arguments.iter().filter(|argument| !self.skips(argument));
        let entries: Vec<_> = wanted.map(|argument| self.entry(argument)).collect();
        let record = match self.options.skip_all {
            Some(_) => TokenStream::new(),
            None => quote_spanned! {Span::mixed_site()=>
                if span.takes_arguments() {
                    #[allow(unused_imports)]
                    use #private::{AsDebug as _, AsJson as _, AsName as _};
                    span.arguments(|| [#(#entries)*]);
                }
            },
        };
        quote_spanned! {Span::mixed_site()=> {
            let span = #private::start(|| #builder);
            #record
            span
        }}
    }

    fn skips(&self, argument: &Argument) -> bool {
        self.options.skip.contains(&argument.ident)
    }

    fn entry(&self, Argument { ident, conditions, .. }: &Argument) -> TokenStream {
        let private = private();
        let name = Argument { ident: ident.clone(), conditions: vec![] }.name();
        let shown = quote_spanned!(Span::mixed_site()=> #private::Shown(&#ident));
        let recorded = self.recorded(shown, self.options.debug.contains(ident));
        quote!(#(#conditions)* (#name, #recorded),)
    }

    /// A value in the form that was asked for.
    fn recorded(&self, shown: TokenStream, as_debug: bool) -> TokenStream {
        let private = private();
        match (as_debug, self.options.debug_all) {
            (true, _) => quote!(#private::AsDebug::recorded(&&#shown)),
            (false, Some(_)) => quote!((&&&#shown).recorded()),
            (false, None) => quote!((&&&#private::Plain(#shown)).recorded()),
        }
    }

    fn builder(&self) -> TokenStream {
        let private = private();
        let ident = &self.function.sig.ident;
        let name = self.options.value("name").map_or_else(
            || {
                let name = Argument { ident: ident.clone(), conditions: vec![] }.name();
                quote!(#name)
            },
            |name| quote!(#name),
        );
        let constructor = match self.kind {
            Macro::Tool => quote!(tool),
            Macro::Agent => quote!(agent),
            Macro::Workflow => quote!(workflow),
            Macro::Traced => quote!(builder),
        };
        let documented = match self.kind {
            Macro::Tool => signature::documentation(&self.function.attrs),
            _ => None,
        };
        let description = match (self.options.value("description"), documented) {
            (Some(given), _) => Some(quote!(#given)),
            (None, documented) => documented.map(|text| quote!(#text)),
        };
        let mut setters = TokenStream::new();
        setters.extend(description.map(|text| quote!(.description(#text))));
        for (option, setter) in SETTERS {
            if let Some(value) = self.options.value(option) {
                let setter = syn::Ident::new(setter, Span::mixed_site());
                setters.extend(quote!(.#setter(#value)));
            }
        }
        quote!(#private::Span::#constructor(#name) #setters)
    }

    /// What looks at the result before the span ends.
    fn hook(&self) -> TokenStream {
        let private = private();
        let nothing = self.options.skip_result.is_some() || signature::returns_nothing(&self.function.sig);
        let shown = quote_spanned!(Span::mixed_site()=> #private::Shown(value));
        let recorded = self.recorded(shown, false);
        let value = match nothing {
            true => quote_spanned!(Span::mixed_site()=> ::core::result::Result::Ok(_) => {}),
            false => {
                quote_spanned!(Span::mixed_site()=> ::core::result::Result::Ok(value) => span.result(|| #recorded))
            }
        };
        quote_spanned! {Span::mixed_site()=>
            |span, result| {
                #[allow(unused_imports)]
                use #private::{
                    AsDebug as _, AsJson as _, AsMessage as _, AsName as _, AsType as _, Fallible as _,
                    Infallible as _,
                };
                match (&&#private::Returned(result)).outcome() {
                    #value,
                    ::core::result::Result::Err(error) => span.failure((&&#private::Failed(error)).described()),
                }
            }
        }
    }
}

/// Options that have a setter of the builder.
const SETTERS: [(&str, &str); 5] = [
    ("call_id", "call_id"),
    ("id", "agent_id"),
    ("version", "agent_version"),
    ("model", "model"),
    ("span_type", "span_type"),
];

/// Tells the type that an async body returns, which an async block has no place for.
fn returned_guide(signature: &Signature) -> TokenStream {
    let (private, returned) = (private(), signature::returned(signature));
    quote_spanned! {Span::mixed_site()=>
        #[allow(clippy::needless_return, clippy::let_unit_value, clippy::diverging_sub_expression, unreachable_code)]
        if false {
            return #private::returned::<#returned>();
        }
    }
}

/// What comes before the future, the future, and what boxes it.
type Boxed<'b> = (&'b [Stmt], &'b ExprAsync, Option<&'b Expr>);

/// The future that a body ends with, as async functions are written by hand and by `async_trait`: an
/// async block, perhaps in `Box::pin(...)`.
fn boxed(block: &Block) -> Option<Boxed<'_>> {
    let (last, before) = block.stmts.split_last()?;
    match last {
        Stmt::Expr(Expr::Async(future), None) => Some((before, future, None)),
        Stmt::Expr(Expr::Call(call), None) => {
            let Expr::Path(path) = call.func.as_ref() else { return None };
            let mut names = path.path.segments.iter().rev().map(|segment| &segment.ident);
            let is_pin = names.next()? == "pin" && names.next()? == "Box";
            match call.args.first() {
                Some(Expr::Async(future)) if is_pin => Some((before, future, Some(&call.func))),
                _ => None,
            }
        }
        _ => None,
    }
}
