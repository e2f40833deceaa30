//! The tools that were offered to a model, in the form that MLflow's chat view shows.

use super::python::{Dict, Value, dumps};
use super::text::Text;

/// The tools in OpenAI's form, `{"type": "function", "function": {"name": …}}`, where they come in that of
/// the conventions, `{"type": "function", "name": …}`; none if there is nothing to change.
pub(super) fn shown<'a>(tools: &Text<'_>) -> Option<Text<'a>> {
    let Value::List(tools) = tools.decode() else { return None };
    if !tools.iter().filter_map(Value::as_dict).any(is_flat) {
        return None;
    }
    let tools = Value::List(tools.into_iter().map(nested).collect());
    // A lone surrogate: the tools stay as they came, which MLflow stores.
    dumps(&tools).ok().map(|json| Text::Verbatim(json.into()))
}

fn is_flat(tool: &Dict) -> bool {
    !tool.contains_key("function") && tool.get("name").is_some_and(|name| name.as_text().is_some())
}

fn nested(tool: Value) -> Value {
    match tool {
        Value::Dict(mut function) if is_flat(&function) => {
            // The view knows functions only, and shows none of the tools if it does not know one.
            function.remove("type");
            let members = [("type", Value::from("function")), ("function", Value::Dict(function))];
            Value::Dict(Dict::from_iter(members))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(tools: &str) -> Option<String> {
        shown(&Text::of_string(tools).unwrap()).map(|text| text.json().into_owned())
    }

    #[test]
    fn definitions_become_functions() {
        let tools = r#"[{"type": "function", "name": "find", "parameters": {"type": "object"}}, {"type": "function", "function": {"name": "add"}}]"#;
        let expected = r#"[{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}, {"type": "function", "function": {"name": "add"}}]"#;
        assert_eq!(json(tools).as_deref(), Some(expected));
    }

    #[test]
    fn anything_else_stays() {
        let function = r#"[{"type": "function", "function": {"name": "add"}}]"#;
        for tools in
            [function, "[]", "7", "no JSON", r#"["find"]"#, r#"[{"name": 7}]"#, r#"[{"type": "web_search"}]"#]
        {
            assert_eq!(json(tools), None, "{tools}");
        }
    }
}
