//! What the signature of a function says: which arguments it has, and what it returns.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt as _;
use syn::{
    Attribute, Error, Expr, FnArg, GenericArgument, Ident, Lit, Meta, Pat, PathArguments, ReturnType,
    Signature, Type,
};

/// A name that the arguments give, as the body sees it.
pub(crate) struct Argument {
    pub(crate) ident: Ident,
    /// Conditions under which it is there at all.
    pub(crate) conditions: Vec<Attribute>,
}

impl Argument {
    /// The name as text, without `r#`.
    pub(crate) fn name(&self) -> String {
        self.ident.unraw().to_string()
    }
}

/// The arguments without `self`, and with the names inside of patterns.
pub(crate) fn arguments(signature: &Signature) -> Vec<Argument> {
    let mut found = Vec::new();
    for argument in &signature.inputs {
        if let FnArg::Typed(argument) = argument {
            let mut idents = Vec::new();
            collect(&argument.pat, &mut idents);
            let conditions: Vec<_> =
                argument.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned().collect();
            found.extend(idents.into_iter().map(|ident| Argument { ident, conditions: conditions.clone() }));
        }
    }
    found
}

fn collect(pattern: &Pat, idents: &mut Vec<Ident>) {
    match pattern {
        Pat::Ident(name) => {
            idents.push(name.ident.clone());
            if let Some((_, inner)) = &name.subpat {
                collect(inner, idents);
            }
        }
        Pat::Reference(reference) => collect(&reference.pat, idents),
        Pat::Paren(parenthesized) => collect(&parenthesized.pat, idents),
        Pat::Type(typed) => collect(&typed.pat, idents),
        Pat::Tuple(tuple) => tuple.elems.iter().for_each(|pattern| collect(pattern, idents)),
        Pat::TupleStruct(tuple) => tuple.elems.iter().for_each(|pattern| collect(pattern, idents)),
        Pat::Slice(slice) => slice.elems.iter().for_each(|pattern| collect(pattern, idents)),
        Pat::Struct(fields) => fields.fields.iter().for_each(|field| collect(&field.pat, idents)),
        // Every alternative has the same names.
        Pat::Or(alternatives) => {
            if let Some(first) = alternatives.cases.first() {
                collect(first, idents);
            }
        }
        _ => {}
    }
}

/// Refuses what cannot be traced.
pub(crate) fn check(signature: &Signature, attribute: &str) -> syn::Result<()> {
    if let Some(token) = &signature.constness {
        let message = format!("#[{attribute}] cannot trace a `const fn`, which may run in the compiler");
        return Err(Error::new_spanned(token, message));
    }
    if let Some(variadic) = &signature.variadic {
        let message = format!("#[{attribute}] cannot trace a function with a variable number of arguments");
        return Err(Error::new_spanned(variadic, message));
    }
    Ok(())
}

/// Whether the function returns nothing.
pub(crate) fn returns_nothing(signature: &Signature) -> bool {
    match &signature.output {
        ReturnType::Default => true,
        ReturnType::Type(_, returned) => {
            matches!(returned.as_ref(), Type::Tuple(tuple) if tuple.elems.is_empty())
        }
    }
}

/// The type that a body returns, with `_` for each `impl Trait`, which stands only in signatures.
pub(crate) fn returned(signature: &Signature) -> TokenStream {
    match &signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, returned) => {
            let mut returned = returned.as_ref().clone();
            infer(&mut returned);
            quote!(#returned)
        }
    }
}

fn infer(of: &mut Type) {
    match of {
        Type::ImplTrait(_) => *of = syn::parse_quote!(_),
        Type::Paren(inner) => infer(&mut inner.elem),
        Type::Group(inner) => infer(&mut inner.elem),
        Type::Reference(inner) => infer(&mut inner.elem),
        Type::Array(inner) => infer(&mut inner.elem),
        Type::Slice(inner) => infer(&mut inner.elem),
        Type::Tuple(inner) => inner.elems.iter_mut().for_each(infer),
        Type::Path(path) => {
            for segment in &mut path.path.segments {
                if let PathArguments::AngleBracketed(list) = &mut segment.arguments {
                    for argument in &mut list.args {
                        if let GenericArgument::Type(inner) = argument {
                            infer(inner);
                        }
                    }
                }
            }
        }
        _ => {}
    }
}

/// The text of the doc comment up to its first heading, if there is one.
pub(crate) fn documentation(attributes: &[Attribute]) -> Option<String> {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let lines: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.starts_with("# ")).collect();
    let text = lines.join("\n").trim().to_owned();
    (!text.is_empty()).then_some(text)
}
