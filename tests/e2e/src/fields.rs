//! Whether an answer has the fields that scripts rely on.

use serde_json::Value;

/// The fields of these that a value lacks. `a.b` is a field of a field, `a[].b` a field of each entry of a list that has at
/// least one.
pub fn lacking(value: &Value, fields: &[&str]) -> Vec<String> {
    fields.iter().filter(|field| !has(value, field)).map(|field| (*field).to_owned()).collect()
}

fn has(value: &Value, path: &str) -> bool {
    let Some((head, rest)) = path.split_once('.') else { return value.get(path).is_some() };
    match head.strip_suffix("[]") {
        None => value.get(head).is_some_and(|inner| has(inner, rest)),
        Some(list) => {
            let entries = value.get(list).and_then(Value::as_array);
            entries.is_some_and(|entries| !entries.is_empty() && entries.iter().all(|entry| has(entry, rest)))
        }
    }
}
