//! One text for one value: JSON with sorted keys, the shortest numbers that read back as they were, and text in Unicode's
//! normalisation form C, so that digests do not depend on who wrote the value and how.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Number, Value};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The BLAKE3 digest of a value in canonical form, in hexadecimal digits.
pub(super) fn digest(value: &impl Serialize) -> String {
    blake3::hash(canonical(value).as_bytes()).to_hex().to_string()
}

/// A value in canonical form.
pub(super) fn canonical(value: &impl Serialize) -> String {
    let value =
        serde_json::to_value(value).expect("requests and identities have text keys and finite numbers");
    let mut out = Vec::new();
    write(&value, &mut out);
    String::from_utf8(out).expect("JSON is written as UTF-8")
}

/// A text in normalisation form C.
pub(super) fn composed(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        _ => Cow::Owned(text.nfc().collect()),
    }
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(value) => out.extend(if *value { &b"true"[..] } else { b"false" }),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_text(text, out),
        Value::Array(elements) => {
            out.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(element, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            // The order of the map depends on a feature of serde_json that any crate of a program may switch on.
            let mut members: Vec<_> = members.iter().map(|(key, value)| (composed(key), value)).collect();
            members.sort_by(|(left, _), (right, _)| left.cmp(right));
            out.push(b'{');
            for (index, (key, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_text(&key, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

/// Whole numbers without a point, as 1 and 1.0 are one number to a server.
fn write_number(number: &Number, out: &mut Vec<u8>) {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < (1u64 << 53) as f64 => {
            out.extend((float as i64).to_string().bytes());
        }
        _ => out.extend(number.to_string().bytes()),
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, composed(text).as_ref()).expect("writing to memory does not fail");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_numbers_short_and_text_composed() {
        let value = json!({"b": [1.0, 0.1, 1e300, -0.0, 3], "a": "e\u{301}", "A\u{30a}": null, "c": {"y": true, "x": false}});
        assert_eq!(
            canonical(&value),
            "{\"a\":\"\u{e9}\",\"b\":[1,0.1,1e+300,0,3],\"c\":{\"x\":false,\"y\":true},\"\u{c5}\":null}"
        );
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-zé\u{301}\\\\\"\n]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-z]{0,3}", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// What is read back from the canonical text has the same canonical text.
        #[test]
        fn canonical_form_is_a_fixed_point(value in value()) {
            let first = canonical(&value);
            prop_assert_eq!(canonical(&serde_json::from_str::<Value>(&first).unwrap()), first);
        }
    }
}
