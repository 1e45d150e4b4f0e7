//! The identity of a call: the same key for the same question to the same model, and only then.
//!
//! A question is what the model sees and how it is asked to write: provider, endpoint, model, revision, all messages,
//! the sampling parameters with stop texts and token limit, and whether log-probabilities are wanted; the key to the
//! provider is not in it. Its text is canonical JSON, and the key of sample `i` is the BLAKE3 digest of that text's digest
//! and `i`: asking for more samples later keeps those that are there.

use serde::Serialize;

use super::super::canonical::canonical;
use super::super::{Identity, Prompt, Request, Sampling};

/// The identity of one sample of one question.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub(super) [u8; 32]);

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

/// A question, apart from how many samples of the answer are wanted.
pub(super) struct Question {
    /// Its canonical text.
    pub(super) text: String,
    digest: blake3::Hash,
}

impl Question {
    pub(super) fn new(model: &Identity, request: &Request) -> Self {
        #[derive(Serialize)]
        struct Content<'a> {
            model: &'a Identity,
            prompt: &'a Prompt,
            sampling: &'a Sampling,
            log_probabilities: Option<u32>,
        }
        let Request { prompt, sampling, log_probabilities, .. } = request;
        let text = canonical(&Content { model, prompt, sampling, log_probabilities: *log_probabilities });
        Question { digest: blake3::hash(text.as_bytes()), text }
    }

    /// The key of a sample.
    pub(super) fn sample(&self, number: usize) -> Key {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.digest.as_bytes());
        hasher.update(&(number as u64).to_le_bytes());
        Key(*hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Image, Message, Part, Role};
    use super::*;

    fn identity() -> Identity {
        Identity {
            provider: "openai".into(),
            endpoint: "http://localhost/v1".into(),
            model: "m".into(),
            revision: None,
        }
    }

    fn request() -> Request {
        Request::chat([Message::system("Be brief."), Message::user("What is 2 + 2?")])
    }

    fn key(identity: &Identity, request: &Request) -> Key {
        Question::new(identity, request).sample(request.first_sample)
    }

    /// Everything that the model sees, or that decides what it writes, has its own key.
    #[test]
    fn every_part_of_a_question_counts() {
        let image = |bytes: &[u8]| Message {
            role: Role::User,
            content: vec![Part::Image(Image { media_type: "image/png".into(), bytes: bytes.into() })],
        };
        let (model, base) = (identity(), request());
        let sampled = |sampling| request().sampled(sampling);
        let none = Sampling::default;
        let keys = [
            key(&model, &base),
            key(&Identity { provider: "scripted".into(), ..model.clone() }, &base),
            key(&Identity { endpoint: "http://localhost:1/v1".into(), ..model.clone() }, &base),
            key(&Identity { model: "n".into(), ..model.clone() }, &base),
            key(&Identity { revision: Some("1".into()), ..model.clone() }, &base),
            key(&model, &Request::chat([Message::system("Be brief!"), Message::user("What is 2 + 2?")])),
            key(&model, &Request::chat([Message::user("Be brief."), Message::user("What is 2 + 2?")])),
            key(&model, &Request::chat([Message::user("What is 2 + 2?")])),
            key(&model, &Request::completion("What is 2 + 2?")),
            key(&model, &Request::chat([image(b"1")])),
            key(&model, &Request::chat([image(b"2")])),
            key(&model, &Request { log_probabilities: Some(0), ..request() }),
            key(&model, &Request { first_sample: 1, ..request() }),
            key(&model, &sampled(Sampling { temperature: Some(0.0), ..none() })),
            key(&model, &sampled(Sampling { temperature: Some(0.7), ..none() })),
            key(&model, &sampled(Sampling { top_p: Some(0.7), ..none() })),
            key(&model, &sampled(Sampling { max_tokens: Some(7), ..none() })),
            key(&model, &sampled(Sampling { stop: vec!["a".into(), "b".into()], ..none() })),
            key(&model, &sampled(Sampling { stop: vec!["a b".into()], ..none() })),
            key(&model, &sampled(Sampling { seed: Some(7), ..none() })),
            key(&model, &sampled(Sampling { presence_penalty: Some(0.7), ..none() })),
            key(&model, &sampled(Sampling { frequency_penalty: Some(0.7), ..none() })),
            key(&model, &sampled(Sampling { more: [("top_k".into(), 7.into())].into(), ..none() })),
        ];
        let different: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
    }

    #[test]
    fn the_number_of_samples_and_the_spelling_do_not_count() {
        let model = identity();
        assert_eq!(key(&model, &request()), key(&model, &request().times(8)));
        let spelled = |text: &str| key(&model, &Request::completion(text));
        assert_eq!(spelled("caf\u{e9}"), spelled("cafe\u{301}"));
        let more = |value: serde_json::Value| {
            key(
                &model,
                &request().sampled(Sampling { more: [("x".into(), value)].into(), ..Sampling::default() }),
            )
        };
        assert_eq!(
            more(serde_json::json!({"a": 1, "b": 2.0})),
            more(serde_json::from_str("{\"b\": 2, \"a\": 1.0}").unwrap())
        );
    }

    /// The key is part of the format of the log: logs written by earlier versions must be found again.
    #[test]
    fn keys_stay_as_they_are() {
        let sampling = Sampling { temperature: Some(0.7), max_tokens: Some(512), ..Sampling::default() };
        let question = Question::new(&identity(), &request().sampled(sampling));
        assert_eq!(
            question.text,
            "{\"log_probabilities\":null,\"model\":{\"endpoint\":\"http://localhost/v1\",\"model\":\"m\",\
             \"provider\":\"openai\",\"revision\":null},\"prompt\":{\"chat\":[{\"content\":[{\"text\":\"Be brief.\"}],\
             \"role\":\"system\"},{\"content\":[{\"text\":\"What is 2 + 2?\"}],\"role\":\"user\"}]},\"sampling\":{\
             \"frequency_penalty\":null,\"max_tokens\":512,\"more\":{},\"presence_penalty\":null,\"seed\":null,\
             \"stop\":[],\"temperature\":0.7,\"top_p\":null}}"
        );
        assert_eq!(
            question.sample(0).to_string(),
            "ce73fc5fc2b62fc68214b15211a75ed585cf9d47c90a577e2722dbb5b3f52754"
        );
    }
}
