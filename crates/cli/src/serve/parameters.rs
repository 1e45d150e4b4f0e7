//! The parameters of a request: an object of JSON, whose entries are taken out one by one. What is left over in the end is not
//! known, and refused by its name.

use serde_json::{Map, Value};

use super::error::ApiError;

/// Parameters that have not been taken yet.
pub struct Parameters {
    object: Map<String, Value>,
    /// The names of all that were asked for.
    known: Vec<&'static str>,
}

impl Parameters {
    /// The parameters of a body.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let bad = |message: String| {
            ApiError::new(axum::http::StatusCode::BAD_REQUEST, message).code("invalid_json")
        };
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => Ok(Parameters { object, known: Vec::new() }),
            Ok(other) => Err(bad(format!("the body is {}, expected an object", kind(&other)))),
            Err(error) => Err(bad(format!("the body is not JSON: {error}"))),
        }
    }

    /// The value of a parameter; `null` is as if it were not there.
    pub fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.object.remove(name).filter(|value| !value.is_null())
    }

    /// What `read` makes of a value; it is an error if there is one of which it makes nothing.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| wrong(name, &value, expected))
    }

    /// A number within bounds.
    pub fn number(&mut self, name: &'static str, least: f64, most: f64) -> Result<Option<f64>, ApiError> {
        let expected = match most.is_finite() {
            true => format!("a number from {least} to {most}"),
            false => format!("a number of at least {least}"),
        };
        let within = |number: &f64| (least..=most).contains(number);
        self.optional(name, &expected, |value| value.as_f64().filter(within))
    }

    /// A whole number within bounds.
    pub fn whole(
        &mut self,
        name: &'static str,
        least: usize,
        most: usize,
    ) -> Result<Option<usize>, ApiError> {
        let expected = match most {
            usize::MAX => format!("a whole number of at least {least}"),
            most => format!("a whole number from {least} to {most}"),
        };
        let within = |number: &usize| (least..=most).contains(number);
        self.optional(name, &expected, |value| usize::try_from(value.as_u64()?).ok().filter(within))
    }

    /// A flag; false if it is not there.
    pub fn flag(&mut self, name: &'static str) -> Result<bool, ApiError> {
        Ok(self.optional(name, "true or false", Value::as_bool)?.unwrap_or(false))
    }

    /// Parameters that change nothing in an answer.
    pub fn ignore(&mut self, names: &[&'static str]) {
        for name in names {
            self.take(name);
        }
    }

    /// A parameter that is known and not supported but for values that ask for nothing.
    pub fn unsupported(
        &mut self,
        name: &'static str,
        asks_nothing: impl Fn(&Value) -> bool,
    ) -> Result<(), ApiError> {
        match self.take(name).filter(|value| !asks_nothing(value)) {
            None => Ok(()),
            Some(_) => Err(ApiError::parameter(
                name,
                "unsupported_parameter",
                format!("`{name}` is not supported by this server"),
            )),
        }
    }

    /// That nothing is left.
    pub fn finish(self) -> Result<(), ApiError> {
        let Some(name) = self.object.keys().next() else { return Ok(()) };
        let near = |known: &&str| strsim::damerau_levenshtein(name, known) <= 2;
        let hint = match self.known.iter().copied().find(near) {
            Some(known) => format!("; did you mean `{known}`?"),
            None => String::new(),
        };
        let message = format!("`{name}` is not a parameter that is known here{hint}");
        Err(ApiError::parameter(name, "unknown_parameter", message))
    }
}

/// The error of a value that is not what was expected.
pub fn wrong(name: &str, value: &Value, expected: &str) -> ApiError {
    const MOST: usize = 60;
    let found = match value {
        Value::Array(_) | Value::Object(_) => kind(value).to_string(),
        other => {
            let text = other.to_string();
            match text.char_indices().nth(MOST) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    };
    ApiError::parameter(name, "invalid_value", format!("`{name}` is {found}, expected {expected}"))
}

/// The error of a parameter that must be there.
pub fn missing(name: &str, expected: &str) -> ApiError {
    ApiError::parameter(
        name,
        "missing_required_parameter",
        format!("`{name}` is not there, expected {expected}"),
    )
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
