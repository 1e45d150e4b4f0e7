//! Replies that are to be one JSON object: what is malformed is asked for again.

use crate::models::Request;
use crate::models::calls::{Calls, Outcome, Spending, Stop};

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked<T> {
    /// What was read; none if all replies were malformed or missing.
    pub value: Option<T>,
    /// The last reply.
    pub text: String,
    /// Replies that were malformed.
    pub malformed: usize,
    /// What the replies cost.
    pub spent: Spending,
}

/// Asks every request for one reply, up to `tries` times where it cannot be read, and hands over what was read, in order.
///
/// # Errors
/// If the calls stop before the end; what was answered is in the log.
pub(crate) fn ask_all<T>(
    calls: &Calls,
    requests: &[Request],
    tries: usize,
    read: impl Fn(&str) -> Result<T, String>,
    mut each: impl FnMut(usize, Asked<T>),
) -> Result<(), Stop> {
    let mut stop = None;
    calls.run(
        requests,
        async |request: &Request| ask(calls, request, tries, &read).await,
        |number, asked| match asked {
            Ok(asked) => each(number, asked),
            Err(reason) => stop = Some(reason),
        },
    );
    stop.map_or(Ok(()), Err)
}

async fn ask<T>(
    calls: &Calls,
    request: &Request,
    tries: usize,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Asked<T>, Stop> {
    let mut asked = Asked { value: None, text: String::new(), malformed: 0, spent: Spending::default() };
    for attempt in 0..tries.max(1) {
        // A further sample: the same one would be the reply that is kept.
        let request = Request { first_sample: request.first_sample + attempt, ..request.clone() };
        let answers = calls.ask(&request).await;
        asked.spent = asked.spent.plus(answers.spent);
        let outcome = &answers.outcomes[0];
        if let Outcome::Unasked(stop) = outcome {
            return Err(stop.clone());
        }
        if outcome.sample().is_none() {
            // The call layer has tried what there is to try.
            break;
        }
        asked.text = outcome.text().to_string();
        match read(&asked.text) {
            Ok(value) => {
                asked.value = Some(value);
                break;
            }
            Err(_) => asked.malformed += 1,
        }
    }
    Ok(asked)
}

/// The text without white space around it, and without one code fence around it.
pub(crate) fn unfenced(reply: &str) -> &str {
    let reply = reply.trim();
    let inner = reply.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")).unwrap_or(reply);
    match inner.split_once('\n') {
        Some((word, rest)) if inner.len() < reply.len() && matches!(word.trim(), "" | "json" | "JSON") => {
            rest.trim()
        }
        _ => inner.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fence_is_taken_away() {
        assert_eq!(unfenced(" {\"a\": 1}\n"), "{\"a\": 1}");
        assert_eq!(unfenced("```json\n{\"a\": 1}\n```"), "{\"a\": 1}");
        assert_eq!(unfenced("```\n{}\n```\n"), "{}");
        assert_eq!(unfenced("So: ```{}```"), "So: ```{}```");
        assert_eq!(unfenced("json\n{}"), "json\n{}");
        assert_eq!(unfenced("```"), "```");
    }
}
