//! Replies that are to be one JSON object.

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
