//! The client against a server that answers well, badly, or not at all.

use std::time::Duration;

use mathesis_reasoning::models::{
    Answer, Failure, FailureKind, Finish, Image, Message, OpenAiModel, OpenAiOptions, Part, Request, Role,
    Sampling, ask, block_on, open,
};
use serde_json::{Value, json};

use super::server::{Reaction, Server};

fn model(server: &Server) -> OpenAiModel {
    let options = OpenAiOptions { timeout: Duration::from_secs(20), ..OpenAiOptions::new(server.url(), "m") };
    OpenAiModel::new(options).unwrap()
}

fn answer(server: &Server, request: &Request) -> Result<Answer, Failure> {
    block_on(ask(&model(server), request))
}

fn question() -> Request {
    Request::chat([Message::user("What is 2 + 2?")])
}

/// `bench/calls/official_client.py` lets OpenAI's own Python client write the same two bodies.
#[test]
fn a_conversation_goes_out_as_the_official_client_writes_it() {
    let server = Server::new(|_, _| Reaction::text("4"));
    let picture = Part::Image(Image { media_type: "image/png".into(), bytes: b"\x89PNG"[..].into() });
    let messages = [
        Message::system("Be brief."),
        Message { role: Role::User, content: vec![Part::Text("What is this?".into()), picture] },
        Message::assistant("It is"),
    ];
    let sampling = Sampling {
        temperature: Some(0.7),
        top_p: Some(0.9),
        max_tokens: Some(64),
        stop: vec!["\n\n".into()],
        seed: Some(40),
        presence_penalty: Some(0.5),
        frequency_penalty: Some(-0.5),
        more: [("top_k".into(), json!(20))].into(),
    };
    let request = Request {
        log_probabilities: Some(2),
        first_sample: 2,
        ..Request::chat(messages).sampled(sampling).times(3)
    };
    answer(&server, &request).unwrap();
    let received = server.received().remove(0);
    assert_eq!(received.path, "/v1/chat/completions");
    assert_eq!(received.authorization, None);
    let expected: Value = serde_json::from_str(include_str!("conversation.json")).unwrap();
    assert_eq!(received.body, expected);
    // What is not set is not sent.
    answer(&server, &question()).unwrap();
    let plain = json!({"model": "m", "messages": [{"role": "user", "content": "What is 2 + 2?"}]});
    assert_eq!(server.received()[1].body, plain);
}

#[test]
fn a_text_is_continued() {
    let reply = json!({"model": "m-1", "choices": [
        {"index": 1, "text": " five", "finish_reason": "length", "logprobs": {
            "tokens": [" five"], "token_logprobs": [-1.5], "top_logprobs": [{" four": -0.25, " five": -1.5}]}},
        {"index": 0, "text": " four", "finish_reason": "stop", "logprobs": null},
    ], "usage": {"prompt_tokens": 7, "completion_tokens": 2}});
    let server = Server::new(move |_, _| Reaction::json("200 OK", "", &reply.to_string()));
    let request = Request { log_probabilities: Some(2), ..Request::completion("2 + 2 =").times(2) };
    let answer = answer(&server, &request).unwrap();
    let received = server.received().remove(0);
    assert_eq!(received.path, "/v1/completions");
    let expected: Value = serde_json::from_str(include_str!("continuation.json")).unwrap();
    assert_eq!(received.body, expected);
    assert_eq!(answer.model, "m-1");
    assert_eq!(answer.samples[0].text, " four");
    assert_eq!((answer.samples[1].text.as_str(), &answer.samples[1].finish), (" five", &Finish::Length));
    let token = &answer.samples[1].tokens.as_ref().unwrap()[0];
    assert_eq!((token.text.as_str(), token.log_probability), (" five", -1.5));
    assert_eq!(token.alternatives, [(" four".to_string(), -0.25), (" five".to_string(), -1.5)]);
    let usage = answer.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens), (7, 2));
}

/// An echo with a special token before the text and the token that had to be written behind it.
fn echo(index: usize, tokens: &[&str], values: &[Option<f64>], text: &str) -> Value {
    let top: Vec<Value> =
        values.iter().map(|value| value.map_or(Value::Null, |value| json!({"x": value.max(-1.0)}))).collect();
    json!({"index": index, "text": text, "finish_reason": "length",
        "logprobs": {"tokens": tokens, "token_logprobs": values, "top_logprobs": top}})
}

#[test]
fn options_are_found_in_the_echo_of_prompts() {
    let (none, some) = (None, Some);
    let choices = [
        echo(
            1,
            &["<s>", "Is", " it", "?", " B", "C", "!"],
            &[none, some(-9.0), some(-8.0), some(-7.0), some(-2.0), some(-0.5), some(-3.0)],
            "Is it? BC!",
        ),
        // A server that writes nothing at the end of a text, and a token that reaches over the border.
        echo(0, &["Is", " it", "? A"], &[none, some(-8.0), some(-0.25)], "Is it? A"),
    ];
    let reply =
        json!({"choices": choices, "usage": {"prompt_tokens": 10, "completion_tokens": 1}}).to_string();
    let server = Server::new(move |_, _| Reaction::json("200 OK", "", &reply));
    let request = Request::continuations("Is it?", vec![" A".into(), " BC".into()]);
    let answer = answer(&server, &request).unwrap();
    let received = server.received().remove(0);
    assert_eq!(received.path, "/v1/completions");
    let expected = json!({"model": "m", "prompt": ["Is it? A", "Is it? BC"], "echo": true, "logprobs": 1, "max_tokens": 1, "temperature": 0.0});
    assert_eq!(received.body, expected);
    let sums: Vec<f64> = answer.samples.iter().map(|sample| sample.log_likelihood().unwrap()).collect();
    assert_eq!(sums, [-0.25, -2.5]);
    assert_eq!((answer.samples[1].text.as_str(), &answer.samples[1].finish), (" BC", &Finish::Stop));
    assert!(answer.samples[0].is_likeliest() && !answer.samples[1].is_likeliest());
}

/// Options one by one, with tokens that are parts of characters and only their places known.
#[test]
fn options_of_servers_that_take_one_prompt_are_asked_for_one_by_one() {
    let server = Server::new(|received, _| {
        let text = received.body["prompt"].as_str().unwrap().to_string();
        let mut choice = echo(
            0,
            &["Is it?", "bytes:\\xc2", "bytes:\\xbd", "."],
            &[None, Some(-1.0), Some(-2.0), Some(-4.0)],
            &text,
        );
        choice["logprobs"]["text_offset"] = json!([0, 6, 6, 7]);
        Reaction::json("200 OK", "", &json!({"choices": [choice]}).to_string())
    });
    let request = Request::continuations("Is it?", vec!["½".into(), "¼".into()]);
    let part = |first_sample| Request { first_sample, ..request.clone().times(1) };
    let second = answer(&server, &part(1)).unwrap();
    assert_eq!(server.received()[0].body["prompt"], "Is it?¼");
    assert_eq!((second.samples[0].text.as_str(), second.samples[0].log_likelihood()), ("¼", Some(-3.0)));

    let deaf = Server::new(|_, _| {
        Reaction::json("200 OK", "", &json!({"choices": [{"index": 0, "text": "."}]}).to_string())
    });
    let failure = answer(&deaf, &part(0)).unwrap_err();
    assert!(failure.kind == FailureKind::Rejected && failure.message.contains("`echo`"), "{failure}");
}

#[test]
fn refusals_filters_and_log_probabilities_of_a_conversation_are_read() {
    let reply = json!({"choices": [
        {"index": 0, "message": {"content": null, "refusal": "I will not."}, "finish_reason": "stop"},
        {"index": 1, "message": {"content": "Half"}, "finish_reason": "content_filter"},
        {"index": 2, "message": {"content": "4"}, "finish_reason": "tool_calls", "logprobs": {"content": [
            {"token": "4", "logprob": -0.1, "bytes": [52], "top_logprobs": [{"token": "5", "logprob": -3}]}]}},
        {"index": 3, "message": {"content": "one too many"}},
    ]});
    let server = Server::new(move |_, _| Reaction::json("200 OK", "", &reply.to_string()));
    let answer = answer(&server, &question().times(3)).unwrap();
    assert_eq!(answer.usage, None);
    let samples: Vec<_> =
        answer.samples.iter().map(|sample| (sample.text.as_str(), sample.finish.clone())).collect();
    let expected = [
        ("I will not.", Finish::ContentFilter),
        ("Half", Finish::ContentFilter),
        ("4", Finish::Other("tool_calls".into())),
    ];
    assert_eq!(samples, expected);
    let token = &answer.samples[2].tokens.as_ref().unwrap()[0];
    assert_eq!((token.log_probability, token.alternatives[0].1), (-0.1, -3.0));
}

#[test]
fn error_statuses_have_kinds_and_messages() {
    use FailureKind::*;
    for (status, headers, body, kind, message, wait) in [
        ("429 Too Many Requests", "Retry-After: 7\r\n", "{}", RateLimited, "status 429", Some(7.0)),
        (
            "429 Too Many Requests",
            "retry-after-ms: 250\r\nRetry-After: 1\r\n",
            "",
            RateLimited,
            "",
            Some(0.25),
        ),
        (
            "429 Too Many Requests",
            "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n",
            "",
            RateLimited,
            "",
            None,
        ),
        (
            "429 Too Many Requests",
            "",
            r#"{"error": {"code": "insufficient_quota", "message": "no money"}}"#,
            Quota,
            "no money",
            None,
        ),
        (
            "400 Bad Request",
            "",
            r#"{"error": {"code": "context_length_exceeded", "message": "long"}}"#,
            ContextOverflow,
            "long",
            None,
        ),
        (
            "400 Bad Request",
            "",
            r#"{"object": "error", "message": "This model's maximum context length is 8 tokens."}"#,
            ContextOverflow,
            "maximum",
            None,
        ),
        (
            "400 Bad Request",
            "",
            r#"{"error": {"code": "content_filter", "message": "no"}}"#,
            ContentFilter,
            "no",
            None,
        ),
        (
            "404 Not Found",
            "",
            r#"{"error": "model \"m\" not found"}"#,
            Rejected,
            "model \"m\" not found",
            None,
        ),
        ("401 Unauthorized", "", "<html>who?</html>", Unauthorized, "who?", None),
        ("502 Bad Gateway", "", "<html><h1>Bad Gateway</h1></html>", Server, "Bad Gateway", None),
        ("503 Service Unavailable", "Retry-After: 2\r\n", "", Server, "status 503", Some(2.0)),
        ("302 Found", "Location: http://127.0.0.1:1/\r\n", "", Rejected, "status 302", None),
    ] {
        let server = super::server::Server::new(move |_, _| Reaction::json(status, headers, body));
        let failure = answer(&server, &question()).unwrap_err();
        assert_eq!(failure.kind, kind, "{status} {body}");
        assert!(failure.message.contains(message), "{failure}");
        assert_eq!(failure.retry_after.map(|wait| wait.as_secs_f64()), wait, "{status} {headers}");
    }
}

/// Whatever comes back ends in a failure of a kind, within its time and size.
#[test]
fn hostile_servers_are_survived() {
    use FailureKind::{Connection, Timeout, TooLarge, Unreachable, Unreadable};
    let head =
        |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let good = r#"{"choices": [{"message": {"content": "4"}}]}"#;
    let whole = move |body: &[u8]| Reaction::Bytes([head(body.len()).as_bytes(), body].concat());
    let deep = format!("{{\"choices\": {}", "[".repeat(200_000));
    type React = Box<dyn Fn() -> Reaction + Send + Sync>;
    let cases: Vec<(&str, FailureKind, React)> = vec![
        ("half a JSON", Unreadable, Box::new(move || whole(&good.as_bytes()[..20]))),
        ("nothing", Unreadable, Box::new(move || whole(b""))),
        ("an HTML page", Unreadable, Box::new(move || whole(b"<html>Welcome</html>"))),
        ("another JSON", Unreadable, Box::new(move || whole(b"[1, 2, 3]"))),
        ("a choice without text", Unreadable, Box::new(move || whole(br#"{"choices": [{}]}"#))),
        ("no UTF-8", Unreadable, Box::new(move || whole(b"{\"choices\": [{\"text\": \"\xff\xfe\"}]}"))),
        ("deep JSON", Unreadable, Box::new(move || whole(deep.as_bytes()))),
        (
            "too short for its length",
            Connection,
            Box::new(move || Reaction::Bytes(format!("{}{good}", head(good.len() + 10)).into_bytes())),
        ),
        (
            "too long for its length",
            Unreadable,
            Box::new(move || Reaction::Bytes(format!("{}{good}", head(good.len() - 10)).into_bytes())),
        ),
        ("no HTTP", Connection, Box::new(|| Reaction::Bytes(b"220 ready\r\n".to_vec()))),
        ("a connection that closes", Connection, Box::new(|| Reaction::Bytes(Vec::new()))),
        ("silence", Timeout, Box::new(|| Reaction::Silence)),
        (
            "an endless body",
            TooLarge,
            Box::new(|| Reaction::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b' '; 1 << 16])),
        ),
        (
            "endless headers",
            Connection,
            Box::new(|| {
                Reaction::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-More: and more\r\n".repeat(100))
            }),
        ),
    ];
    for (name, kind, react) in cases {
        let server = Server::new(move |_, _| react());
        let options = OpenAiOptions {
            timeout: Duration::from_millis(if kind == Timeout { 200 } else { 20_000 }),
            most_bytes: 1 << 20,
            ..OpenAiOptions::new(server.url(), "m")
        };
        let failure = block_on(ask(&OpenAiModel::new(options).unwrap(), &question())).expect_err(name);
        assert_eq!(failure.kind, kind, "{name}: {failure}");
    }
    let nobody = OpenAiModel::new(OpenAiOptions::new("http://127.0.0.1:9/v1", "m")).unwrap();
    assert_eq!(block_on(ask(&nobody, &question())).unwrap_err().kind, Unreachable);
}

/// The key goes into one header and nowhere else, even where a server sends it back.
#[test]
fn the_key_is_never_shown() {
    const SECRET: &str = "sk-secret-0123456789";
    // SAFETY: no other test of this process reads or writes this variable; the others do not write the environment.
    unsafe { std::env::set_var("MATHESIS_TEST_KEY", SECRET) };
    let server = Server::new(|received, number| {
        let shown = received.authorization.clone().unwrap_or_default();
        match number {
            0 => Reaction::text(&format!("You said {shown}, {shown}")),
            1 => Reaction::json(
                "401 Unauthorized",
                "",
                &format!("{{\"error\": {{\"message\": \"{shown} is wrong\"}}}}"),
            ),
            _ => Reaction::json("200 OK", "", &format!("{shown} is no JSON")),
        }
    });
    let model = open(&format!("openai:m@{}?key=MATHESIS_TEST_KEY", server.url())).unwrap();
    let mut shown = format!("{:?}", model.identity());
    for _ in 0..3 {
        let reply = block_on(model.send(&question()));
        shown += &match &reply {
            Ok(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Err(failure) => format!("{failure} {failure:?}"),
        };
        if let Ok(bytes) = reply {
            shown += &format!("{:?}", model.read(&question(), &bytes));
        }
    }
    assert_eq!(server.received()[0].authorization.as_deref(), Some("Bearer sk-secret-0123456789"));
    assert!(shown.contains("[key]") && !shown.contains("secret"), "{shown}");
}

/// A recorded model is replayed without it, and only for what was asked.
#[test]
fn a_record_is_replayed() {
    let server = Server::new(|_, number| Reaction::text(&format!("answer {number}")));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("record.jsonl");
    let record = format!("record:{},openai:m@{}", file.display(), server.url());
    let request = |number: usize| Request::chat([Message::user(format!("question {number}"))]);
    let first = open(&record).unwrap();
    let recorded: Vec<_> = (0..3).map(|number| block_on(ask(&*first, &request(number))).unwrap()).collect();
    assert!(open(&record).is_err(), "the record is in use");
    drop(first);
    // A torn line is cut off, and the record goes on.
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, [&whole[..], b"{\"key\": \"12"].concat()).unwrap();
    let second = open(&record).unwrap();
    block_on(ask(&*second, &request(3))).unwrap();
    let other = open(&format!("record:{},openai:n@{}", file.display(), server.url()));
    assert!(other.is_err());
    drop(second);
    let other = open(&format!("record:{},openai:n@{}", file.display(), server.url())).err().unwrap();
    assert!(other.to_string().contains("another model (m)"), "{other}");

    let replay = open(&format!("replay:{}", file.display())).unwrap();
    assert_eq!(replay.identity(), open(&format!("openai:m@{}", server.url())).unwrap().identity());
    for (number, answer) in recorded.iter().enumerate() {
        assert_eq!(&block_on(ask(&*replay, &request(number))).unwrap(), answer);
    }
    assert_eq!(block_on(ask(&*replay, &request(3))).unwrap().samples[0].text, "answer 3");
    assert_eq!(block_on(ask(&*replay, &request(4))).unwrap_err().kind, FailureKind::NotRecorded);
    assert_eq!(server.received().len(), 4);
    std::fs::write(&file, "{}\n").unwrap();
    assert!(open(&format!("replay:{}", file.display())).err().unwrap().to_string().contains("line 1"));
}
