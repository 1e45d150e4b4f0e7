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

/// Asks every request, which is for one sample, for one reply, up to `tries` times where it cannot be read, and hands over what was read, in
/// order.
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
    // A further sample would be a try of the first.
    debug_assert!(requests.iter().all(|request| request.samples == 1), "requests for one sample");
    let mut stop = None;
    calls.run(
        requests,
        async |request: &Request| ask(calls, request, tries, 1, &read).await,
        |number, asked| match asked {
            Ok(asked) => asked.into_iter().for_each(|asked| each(number, asked)),
            Err(reason) => stop = Some(reason),
        },
    );
    stop.map_or(Ok(()), Err)
}

/// Asks a request for its samples. One that cannot be read is asked for again, up to `tries` times in all, as a further
/// sample, since the same one would be the reply that is kept: as sample `i + apart`, `i + 2 apart` and so on. The
/// first reply is charged to the first sample.
pub(crate) async fn ask<T>(
    calls: &Calls,
    request: &Request,
    tries: usize,
    apart: usize,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<Asked<T>>, Stop> {
    let answers = calls.ask(request).await;
    let mut spent = answers.spent;
    let mut all = Vec::with_capacity(answers.outcomes.len());
    for (number, mut outcome) in answers.outcomes.into_iter().enumerate() {
        let spent = std::mem::take(&mut spent);
        let mut asked = Asked { value: None, text: String::new(), malformed: 0, spent };
        for again in 1.. {
            if let Outcome::Unasked(stop) = outcome {
                return Err(stop);
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
            if again >= tries {
                break;
            }
            let first_sample = request.first_sample + number + again * apart;
            let answers = calls.ask(&Request { first_sample, ..request.clone().times(1) }).await;
            asked.spent = asked.spent.plus(answers.spent);
            outcome = answers.outcomes.into_iter().next().expect("one sample was asked for");
        }
        all.push(asked);
    }
    Ok(all)
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
