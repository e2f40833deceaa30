//! The options of an attribute, as they are written.

use proc_macro2::{Span, TokenStream};
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, Lit, Token, parenthesized};

/// Which attribute it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Macro {
    Tool,
    Agent,
    Workflow,
    Traced,
}

impl Macro {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Agent => "agent",
            Self::Workflow => "workflow",
            Self::Traced => "traced",
        }
    }

    /// Options of the form `key = value`.
    fn values(self) -> &'static [&'static str] {
        match self {
            Self::Tool => &["name", "description", "call_id"],
            Self::Agent => &["name", "description", "id", "version", "model"],
            Self::Workflow => &["name"],
            Self::Traced => &["name", "span_type"],
        }
    }
}

/// Options that every attribute has.
const COMMON: [&str; 4] = ["skip(...)", "skip_all", "skip_result", "debug(...)"];

/// The options that were given.
#[derive(Default)]
pub(crate) struct Options {
    values: Vec<(Ident, Expr)>,
    /// Arguments that are not recorded.
    pub(crate) skip: Vec<Ident>,
    pub(crate) skip_all: Option<Span>,
    pub(crate) skip_result: Option<Span>,
    /// Arguments that are recorded as their `Debug` text.
    pub(crate) debug: Vec<Ident>,
    /// Whether whatever has no `Serialize` is recorded as its `Debug` text.
    pub(crate) debug_all: Option<Span>,
}

impl Options {
    pub(crate) fn parse(kind: Macro, tokens: TokenStream) -> syn::Result<Self> {
        let parser = |input: ParseStream<'_>| Punctuated::<Entry, Token![,]>::parse_terminated(input);
        let entries = parser.parse2(tokens)?;
        let mut options = Self::default();
        let mut problems: Option<Error> = None;
        for entry in entries {
            if let Err(problem) = options.add(kind, entry) {
                match &mut problems {
                    Some(problems) => problems.combine(problem),
                    None => problems = Some(problem),
                }
            }
        }
        match problems {
            Some(problems) => Err(problems),
            None => options.check().map(|()| options),
        }
    }

    /// The value of an option.
    pub(crate) fn value(&self, name: &str) -> Option<&Expr> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn add(&mut self, kind: Macro, Entry { name, content }: Entry) -> syn::Result<()> {
        match (name.to_string().as_str(), content) {
            ("skip_all", Content::Nothing) => once(&mut self.skip_all, &name),
            ("skip_result", Content::Nothing) => once(&mut self.skip_result, &name),
            ("debug", Content::Nothing) => once(&mut self.debug_all, &name),
            ("debug", Content::List(list)) => {
                self.debug.extend(list);
                Ok(())
            }
            ("skip", Content::List(list)) => {
                self.skip.extend(list);
                Ok(())
            }
            ("skip", _) => Err(Error::new(name.span(), "`skip` takes arguments: `skip(first, second)`")),
            ("skip_all" | "skip_result", _) => {
                Err(Error::new(name.span(), format!("`{name}` takes no value: write only `{name}`")))
            }
            (text, Content::Value(value)) if kind.values().contains(&text) => {
                check_text(&name, &value)?;
                if self.value(text).is_some() {
                    return Err(Error::new(name.span(), format!("`{text}` is given twice")));
                }
                self.values.push((name, value));
                Ok(())
            }
            (text, _) if kind.values().contains(&text) => {
                Err(Error::new(name.span(), format!("`{text}` needs a value: `{text} = \"...\"`")))
            }
            _ => Err(unknown(kind, &name)),
        }
    }

    fn check(&self) -> syn::Result<()> {
        if let (Some(span), false) = (self.skip_all, self.skip.is_empty()) {
            return Err(Error::new(span, "`skip_all` leaves nothing for `skip` to name: use one of them"));
        }
        if let (Some(span), false) = (self.skip_all, self.debug.is_empty()) {
            return Err(Error::new(span, "`skip_all` leaves nothing for `debug` to name: use one of them"));
        }
        match self.debug.iter().find(|name| self.skip.contains(name)) {
            Some(both) => Err(Error::new(
                both.span(),
                format!("`{both}` is skipped as well: take it out of `skip` or of `debug`"),
            )),
            None => Ok(()),
        }
    }
}

fn once(flag: &mut Option<Span>, name: &Ident) -> syn::Result<()> {
    match flag.replace(name.span()) {
        Some(_) => Err(Error::new(name.span(), format!("`{name}` is given twice"))),
        None => Ok(()),
    }
}

fn unknown(kind: Macro, name: &Ident) -> Error {
    let known = kind.values().iter().map(|name| format!("{name} = ...")).chain(COMMON.map(str::to_owned));
    let known = known.collect::<Vec<_>>().join(", ");
    let hint = match name.to_string().as_str() {
        "span_type" => ", as its type is in its name: use #[traced(span_type = ...)] for others",
        _ => "",
    };
    let message = format!("#[{}] has no option `{name}`{hint}; it has: {known}", kind.name());
    Error::new(name.span(), message)
}

fn check_text(name: &Ident, value: &Expr) -> syn::Result<()> {
    match value {
        Expr::Lit(literal) if !matches!(literal.lit, Lit::Str(_)) => {
            Err(Error::new_spanned(value, format!("`{name}` is a text: `{name} = \"...\"`")))
        }
        _ => Ok(()),
    }
}

/// One option.
struct Entry {
    name: Ident,
    content: Content,
}

enum Content {
    Nothing,
    Value(Expr),
    List(Punctuated<Ident, Token![,]>),
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(syn::LitStr) {
            return Err(input.error("an option has a name: `name = \"...\"`"));
        }
        let name: Ident = input.parse()?;
        let content = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Content::Value(input.parse()?)
        } else if input.peek(syn::token::Paren) {
            let list;
            parenthesized!(list in input);
            if list.peek(Token![self]) {
                return Err(list.error("`self` is never recorded"));
            }
            Content::List(Punctuated::parse_terminated(&list)?)
        } else {
            Content::Nothing
        };
        Ok(Self { name, content })
    }
}
