//! `mathesis serve` from outside: a small random model over real connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use mathesis_language::folder::{Checkpoint, NumberFormat};
use mathesis_language::generation::{Completion, Request, Sampling, generate};
use mathesis_language::model::{LanguageModelConfig, Size};
use mathesis_language::text::{ChatTemplate, Message, Tokenizer};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{mathesis, unbroken};

/// A model of bytes whose weights are so large that its answers vary.
pub fn checkpoint(context: usize) -> Checkpoint {
    let size =
        Size { vocabulary: 258, width: 16, hidden: 24, layers: 2, heads: 4, key_value_heads: 2, context };
    let config = LanguageModelConfig { deviation: 0.4, ..LanguageModelConfig::llama(size) };
    let mut checkpoint = Checkpoint::new(config.init(1, &Device::flex()).expect("a model"));
    let template = "{% for m in messages %}{{ m.role[0] }}:{{ m.content }}|{% endfor %}a:";
    checkpoint.tokenizer = Some(Tokenizer::of_bytes(&["<s>", "</s>"]));
    checkpoint.chat = Some(ChatTemplate::new(template, [].into()).expect("a template"));
    checkpoint
}

/// A server with a port of its own; ended when dropped.
struct Server {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Server {
    fn start(context: usize, arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        checkpoint(context).write(&folder.path().join("tiny"), NumberFormat::F32).expect("written");
        let mut process = Command::new(env!("CARGO_BIN_EXE_mathesis"))
            .args([&["serve", "tiny", "--port", "0"], arguments].concat())
            .current_dir(folder.path())
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let port = line.split("tiny at http://127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next());
        let port =
            port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no address in {line:?}"));
        Server { process, port, _folder: folder }
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        Client { stream: BufReader::new(stream) }
    }

    #[track_caller]
    fn get(&self, path: &str) -> Response {
        self.client().ask("GET", path, "")
    }

    /// A request for the model with these parameters.
    #[track_caller]
    fn post(&self, path: &str, parameters: &Value) -> Response {
        self.client().ask("POST", path, &with_model(parameters))
    }

    /// The answer to a request that is fine.
    #[track_caller]
    fn answer(&self, path: &str, parameters: &Value) -> Value {
        let response = self.post(path, parameters);
        assert_eq!(response.status, 200, "{}", response.body);
        response.json()
    }

    /// A number among the metrics.
    #[track_caller]
    fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line =
            text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        let value = line.and_then(|line| line.split(' ').nth(1)?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in\n{text}"))
    }

    #[track_caller]
    fn until_running(&self, running: u64) {
        let start = Instant::now();
        while self.get("/health").json()["running"] != running {
            assert!(start.elapsed() < Duration::from_secs(30), "never {running} running");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ask the process to end.
    fn terminate(&self) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(status.success());
    }

    /// The exit code, and what was said on standard error.
    fn ended(&mut self) -> (Option<i32>, String) {
        let status = self.process.wait().expect("it ends");
        let mut said = String::new();
        let mut stderr = self.process.stderr.take().expect("piped");
        stderr.read_to_string(&mut said).expect("text");
        (status.code(), said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection, on which several requests may follow each other.
struct Client {
    stream: BufReader<TcpStream>,
}

struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Client {
    fn send(&mut self, method: &str, path: &str, body: &str) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all((head + body).as_bytes()).expect("sent");
    }

    #[track_caller]
    fn ask(&mut self, method: &str, path: &str, body: &str) -> Response {
        self.send(method, path, body);
        let (status, head) = self.head();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut bytes = Vec::new();
        match length {
            Some(length) => {
                bytes = vec![0; length];
                self.stream.read_exact(&mut bytes).expect("a body");
            }
            None => {
                while let Some(chunk) = self.chunk() {
                    bytes.extend(chunk);
                }
            }
        }
        Response { status, head, body: String::from_utf8(bytes).expect("UTF-8") }
    }

    fn head(&mut self) -> (u16, String) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.stream.read_line(&mut head).expect("a head") > 0, "the connection is closed");
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, head.to_lowercase())
    }

    /// A part of a body that comes in parts.
    fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a length");
        let length = usize::from_str_radix(line.trim(), 16).expect("a length");
        let mut chunk = vec![0; length + 2];
        self.stream.read_exact(&mut chunk).expect("a chunk");
        chunk.truncate(length);
        (length > 0).then_some(chunk)
    }
}

impl Response {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The objects of a stream, which ends as it should.
    #[track_caller]
    fn events(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.body);
        assert!(self.head.contains("content-type: text/event-stream"), "{}", self.head);
        let mut data: Vec<&str> =
            self.body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
        assert_eq!(data.pop(), Some("[DONE]"));
        data.into_iter().map(|data| serde_json::from_str(data).expect("JSON")).collect()
    }
}

fn with_model(parameters: &Value) -> String {
    let mut parameters = parameters.clone();
    parameters["model"] = "tiny".into();
    parameters.to_string()
}

/// What the model answers by itself.
fn alone(context: usize, prompts: &[&str], request: &Request) -> Vec<Completion> {
    let checkpoint = checkpoint(context);
    let tokenizer = checkpoint.tokenizer.expect("a tokenizer");
    let prompts: Vec<Vec<u32>> =
        prompts.iter().map(|prompt| tokenizer.encode(prompt, true).expect("tokens")).collect();
    let device = Device::flex();
    generate(&checkpoint.model, &tokenizer, &prompts, request, &device, &mut |_, _, _| {
        ControlFlow::Continue(())
    })
    .expect("answers")
    .concat()
}

const TEXTS: &str = "/v1/completions";
const CHATS: &str = "/v1/chat/completions";

#[test]
fn answers_are_those_of_the_model_alone() {
    let server = Server::start(96, &[]);
    // Greedy, a list of prompts.
    let greedy = Request { max_tokens: 20, ..Request::default() };
    let expected = alone(96, &["one", "another"], &greedy);
    let given = server.answer(TEXTS, &json!({"prompt": ["one", "another"], "max_tokens": 20}));
    for (index, completion) in expected.iter().enumerate() {
        let choice = &given["choices"][index];
        assert_eq!((&choice["index"], &choice["text"]), (&index.into(), &completion.text.as_str().into()));
        assert_eq!((&choice["finish_reason"], &choice["logprobs"]), (&"length".into(), &Value::Null));
    }
    assert_eq!(given["usage"], json!({"prompt_tokens": 10, "completion_tokens": 40, "total_tokens": 50}));
    assert_eq!((&given["object"], &given["model"]), (&"text_completion".into(), &"tiny".into()));
    // The same by its tokens; 16 of them if nobody says how many.
    let tokens: Vec<u8> = b"one".to_vec();
    let given = server.answer(TEXTS, &json!({"prompt": tokens, "echo": true}));
    let text = given["choices"][0]["text"].as_str().expect("a text");
    assert!(text.starts_with("one") && given["usage"]["completion_tokens"] == 16);
    assert!(expected[0].text.starts_with(&text[3..text.len() - 4]));

    // The probabilities of a prompt's tokens.
    let scored = Request { max_tokens: 2, log_probabilities: Some(1), of_prompt: true, ..Request::default() };
    let expected = &alone(96, &["one"], &scored)[0];
    let asked = json!({"prompt": "one", "echo": true, "logprobs": 1, "max_tokens": 2, "temperature": 0});
    let given = server.answer(TEXTS, &asked);
    let told = &given["choices"][0]["logprobs"];
    assert_eq!(told["tokens"].as_array().map(Vec::len), Some(5));
    assert_eq!((&told["token_logprobs"][0], &told["top_logprobs"][0]), (&Value::Null, &Value::Null));
    let values = expected.of_prompt.iter().chain(&expected.log_probabilities);
    for (place, expected) in values.enumerate() {
        let value = told["token_logprobs"][place + 1].as_f64().expect("a number");
        assert!((value - expected.chosen.value).abs() < 1e-5, "{value} for {expected:?}");
    }
    assert_eq!(told["text_offset"].as_array().expect("offsets")[..4], [0, 1, 2, 3].map(Value::from));

    // Drawn from a seed, several samples, with all cuts, and a text at which they end.
    let sampling = Sampling {
        temperature: 0.9,
        top_k: Some(50),
        top_p: Some(0.95),
        min_p: Some(0.01),
        repetition_penalty: 1.1,
    };
    let drawn = Request { max_tokens: 30, sampling, seed: 5, samples: 3, ..Request::default() };
    let chat = json!([
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "how"}, {"type": "text", "text": "many?"}]},
    ]);
    let mut expected = alone(96, &["s:be brief|u:how\nmany?|a:"], &drawn);
    let stop: String = expected[1].text.chars().skip(8).take(2).collect();
    expected = alone(
        96,
        &["s:be brief|u:how\nmany?|a:"],
        &Request { stop: vec![stop.clone()], log_probabilities: Some(2), ..drawn },
    );
    let parameters = json!({
        "messages": chat, "max_completion_tokens": 30, "temperature": 0.9, "top_k": 50, "top_p": 0.95, "min_p": 0.01,
        "repetition_penalty": 1.1, "seed": 5, "n": 3, "stop": stop, "logprobs": true, "top_logprobs": 2,
    });
    let given = server.answer(CHATS, &parameters);
    assert_eq!(given["object"], "chat.completion");
    let reasons: Vec<&Value> = (0..3).map(|index| &given["choices"][index]["finish_reason"]).collect();
    assert_eq!(reasons[1], "stop");
    for (index, completion) in expected.iter().enumerate() {
        let choice = &given["choices"][index];
        assert_eq!(choice["message"]["content"], completion.text.as_str());
        let tokens = choice["logprobs"]["content"].as_array().expect("logarithms");
        assert_eq!(tokens.len(), completion.log_probabilities.len());
        for (given, expected) in tokens.iter().zip(&completion.log_probabilities) {
            let near =
                |given: &Value, expected: f64| (given.as_f64().expect("a number") - expected).abs() < 1e-3;
            assert!(near(&given["logprob"], expected.chosen.value));
            assert_eq!(given["bytes"], json!([expected.chosen.token]));
            let top = given["top_logprobs"].as_array().expect("the likeliest");
            assert!(top.len() == 2 && near(&top[1]["logprob"], expected.top[1].value));
        }
    }
}

#[test]
fn streams_add_up_to_whole_answers() {
    let server = Server::start(96, &[]);
    let mut parameters = json!({
        "prompt": ["one", "two"], "max_tokens": 24, "temperature": 1.0, "seed": 3, "n": 2, "logprobs": 3, "stop": ["e", "zz"],
    });
    let whole = server.answer(TEXTS, &parameters);
    parameters["stream"] = true.into();
    parameters["stream_options"] = json!({"include_usage": true});
    let mut events = server.post(TEXTS, &parameters).events();
    assert_eq!(events.pop().expect("a last one")["usage"], whole["usage"]);
    let mut given = vec![(String::new(), Vec::new(), Vec::new(), Value::Null); 4];
    for event in &events {
        assert_eq!((&event["object"], &event["usage"]), (&"text_completion".into(), &Value::Null));
        let choice = &event["choices"][0];
        let (text, tokens, offsets, finish) =
            &mut given[usize::try_from(choice["index"].as_u64().expect("an index")).expect("small")];
        assert_eq!(*finish, Value::Null, "nothing comes after the end");
        text.push_str(choice["text"].as_str().expect("a text"));
        if let Some(list) = choice["logprobs"]["tokens"].as_array() {
            tokens.extend(list.clone());
            offsets.extend(choice["logprobs"]["text_offset"].as_array().expect("places").clone());
        }
        *finish = choice["finish_reason"].clone();
    }
    for (index, (text, tokens, offsets, finish)) in given.into_iter().enumerate() {
        let choice = &whole["choices"][index];
        assert_eq!((&choice["text"], &choice["finish_reason"]), (&text.as_str().into(), &finish));
        assert_eq!(choice["logprobs"]["tokens"], Value::Array(tokens));
        let places: Vec<u64> = offsets.iter().map(|place| place.as_u64().expect("a place")).collect();
        assert!(places.is_sorted() && places.iter().all(|&place| place < text.chars().count() as u64));
        assert_eq!(choice["logprobs"]["text_offset"], Value::Array(offsets));
    }

    let parameters =
        json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9, "stream": true});
    let events = server.post(CHATS, &parameters).events();
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    let text: String =
        events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    let greedy = Request { max_tokens: 9, ..Request::default() };
    assert_eq!(text, alone(96, &["u:hi|a:"], &greedy)[0].text);
    assert!(events.iter().all(|event| event["object"] == "chat.completion.chunk"));
    assert_eq!(events[events.len() - 1]["choices"][0]["finish_reason"], "length");
}

#[test]
fn wrong_requests_get_errors_that_name_the_parameter() {
    let server = Server::start(48, &["--max-body", "4000", "--max-prompt", "40"]);
    let mut client = server.client();
    let hi = json!([{"role": "user", "content": "hi"}]);
    let text = |more: Value| {
        let mut parameters = json!({"prompt": "hi"});
        for (key, value) in more.as_object().expect("an object") {
            parameters[key] = value.clone();
        }
        (TEXTS, with_model(&parameters))
    };
    let chat = |more: Value| {
        let mut parameters = json!({"messages": hi});
        for (key, value) in more.as_object().expect("an object") {
            parameters[key] = value.clone();
        }
        (CHATS, with_model(&parameters))
    };
    let long = "x".repeat(41);
    for ((path, body), status, parameter, code, says) in [
        ((TEXTS, "{\"model\": ".into()), 400, "", "invalid_json", "line 1 column 10"),
        ((TEXTS, "[]".into()), 400, "", "invalid_json", "a list, expected an object"),
        ((TEXTS, json!({"prompt": "hi"}).to_string()), 400, "model", "missing_required_parameter", "`tiny`"),
        (
            (TEXTS, json!({"prompt": "hi", "model": "other"}).to_string()),
            404,
            "model",
            "model_not_found",
            "no model `other` here, expected `tiny`",
        ),
        ((TEXTS, with_model(&json!({}))), 400, "prompt", "missing_required_parameter", ""),
        ((CHATS, with_model(&json!({}))), 400, "messages", "missing_required_parameter", ""),
        (
            text(json!({"temperature": "hot"})),
            400,
            "temperature",
            "invalid_value",
            "is \"hot\", expected a number",
        ),
        (text(json!({"temperature": 2.5})), 400, "temperature", "invalid_value", "from 0 to 2"),
        (text(json!({"top_p": 0})), 400, "top_p", "invalid_value", "above 0"),
        (text(json!({"max_tokens": 1.5})), 400, "max_tokens", "invalid_value", "a whole number"),
        (text(json!({"max_tokens": 47})), 400, "max_tokens", "context_length_exceeded", "48"),
        (
            text(json!({"prompt": long})),
            400,
            "prompt",
            "context_length_exceeded",
            "41 tokens, expected at most 40",
        ),
        (text(json!({"prompt": ""})), 400, "prompt", "invalid_value", "no tokens"),
        (text(json!({"prompt": [1, 2, 300]})), 400, "prompt", "invalid_value", "300"),
        (text(json!({"prompt": [[1], ["a"]]})), 400, "prompt", "invalid_value", "a list of tokens"),
        (text(json!({"n": 17})), 400, "n", "invalid_value", "from 1 to 16"),
        (text(json!({"prompt": vec!["a"; 70], "n": 2})), 400, "n", "invalid_value", "at most 128 answers"),
        (text(json!({"stop": ["a", ""]})), 400, "stop", "invalid_value", "1 to 256 bytes"),
        (
            text(json!({"echo": true, "logprobs": 1, "stream": true})),
            400,
            "echo",
            "unsupported_parameter",
            "logprobs",
        ),
        (text(json!({"logit_bias": {"5": 1}})), 400, "logit_bias", "unsupported_parameter", "not supported"),
        (
            text(json!({"temprature": 1})),
            400,
            "temprature",
            "unknown_parameter",
            "did you mean `temperature`?",
        ),
        (text(json!({"stream_options": {}})), 400, "stream_options", "invalid_value", "without `stream`"),
        (
            chat(json!({"tools": [{"type": "function"}]})),
            400,
            "tools",
            "unsupported_parameter",
            "not supported",
        ),
        (chat(json!({"top_logprobs": 2})), 400, "top_logprobs", "invalid_value", "`logprobs`"),
        (chat(json!({"messages": []})), 400, "messages", "invalid_value", "at least one"),
        (
            chat(json!({"messages": [{"role": "user"}]})),
            400,
            "messages[0].content",
            "missing_required_parameter",
            "",
        ),
        (
            chat(
                json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}),
            ),
            400,
            "messages[0].content[0]",
            "unsupported_parameter",
            "`image_url`, expected `text`",
        ),
        (
            chat(json!({"messages": [{"role": "user", "content": "a", "name": "b"}]})),
            400,
            "messages[0].name",
            "unsupported_parameter",
            "",
        ),
    ] {
        let response = client.ask("POST", path, &body);
        let error = &response.json()["error"];
        let parameter = if parameter.is_empty() { Value::Null } else { parameter.into() };
        assert_eq!(
            (response.status, &error["param"], &error["code"]),
            (status, &parameter, &code.into()),
            "{body}: {error}"
        );
        assert_eq!(error["type"], "invalid_request_error");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(says), "no {says:?} in {message}");
    }
    let long = text(json!({"prompt": "x".repeat(5000)})).1;
    let response = client.ask("POST", TEXTS, &long);
    assert_eq!((response.status, &response.json()["error"]["param"]), (413, &Value::Null));
    assert!(response.body.contains("expected at most 4000 bytes"), "{}", response.body);
    for (method, path, status) in
        [("GET", "/v1/nothing", 404), ("GET", TEXTS, 405), ("GET", "/v1/models/x", 404)]
    {
        let response = client.ask(method, path, "");
        assert_eq!(response.status, status, "{path}");
        assert!(response.json()["error"]["message"].is_string());
    }
    // Parameters that ask for nothing are fine, and so are replies that come back with all their names.
    let fine = chat(json!({
        "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "tools": null, "user": "me", "stop": null,
        "response_format": {"type": "text"}, "max_tokens": 2, "temperature": 0,
        "messages": [{"role": "assistant", "content": "a", "refusal": null, "tool_calls": null, "annotations": []}],
    }));
    let response = client.ask("POST", fine.0, &fine.1);
    assert_eq!(response.status, 200, "{}", response.body);
    let listed = client.ask("GET", "/v1/models", "").json();
    assert_eq!((&listed["object"], &listed["data"][0]["id"]), (&"list".into(), &"tiny".into()));
    assert_eq!(client.ask("GET", "/v1/models/tiny", "").json()["object"], "model");
    assert!(server.metric("mathesis_requests_total{endpoint=\"chat\",outcome=\"refused\"}") > 5.0);
}

#[test]
fn a_client_that_goes_away_frees_its_place_and_a_full_queue_turns_away() {
    let server = Server::start(200_000, &["--max-running", "1", "--max-waiting", "1"]);
    let long = json!({"prompt": "a", "max_tokens": 190_000});
    let mut first = server.client();
    first.send("POST", TEXTS, &with_model(&long));
    server.until_running(1);
    let mut second = server.client();
    second.send("POST", TEXTS, &with_model(&long));
    let start = Instant::now();
    while server.get("/health").json()["waiting"] != 1 {
        assert!(start.elapsed() < Duration::from_secs(30));
    }
    let response = server.post(TEXTS, &long);
    assert_eq!(response.status, 429, "{}", response.body);
    assert!(response.head.contains("retry-after: 1"), "{}", response.head);
    let error = &response.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&"rate_limit_error".into(), &"queue_full".into()));
    // A stream this time: the one that waits gets its turn when the first goes away, and then goes away itself.
    drop(second);
    let mut stream = server.client();
    let mut streamed = long.clone();
    streamed["stream"] = true.into();
    let start = Instant::now();
    drop(first);
    loop {
        stream.send("POST", TEXTS, &with_model(&streamed));
        if stream.head().0 == 200 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "never its turn");
        stream = server.client();
    }
    assert!(stream.chunk().is_some() && stream.chunk().is_some());
    drop(stream);
    server.until_running(0);
    let cancelled = "mathesis_requests_total{endpoint=\"completions\",outcome=\"cancelled\"}";
    let start = Instant::now();
    while server.metric(cancelled) != 3.0 {
        assert!(start.elapsed() < Duration::from_secs(30), "{}", server.metric(cancelled));
    }
    assert_eq!(server.metric("mathesis_running"), 0.0);
}

#[test]
fn the_time_limit_ends_answers() {
    let server = Server::start(600_000, &["--max-time", "300ms"]);
    let whole = server.answer(TEXTS, &json!({"prompt": "a", "max_tokens": 590_000}));
    let tokens = whole["usage"]["completion_tokens"].as_u64().expect("a number");
    assert!((1..590_000).contains(&tokens) && whole["choices"][0]["finish_reason"] == "length");
    // Reading this takes longer than there is time.
    let late = server.post(TEXTS, &json!({"prompt": "a".repeat(500_000)}));
    assert_eq!((late.status, &late.json()["error"]["code"]), (503, &"timed_out".into()), "{}", late.body);
}

#[test]
#[cfg(unix)]
fn what_runs_ends_before_the_program_does() {
    let mut server = Server::start(200_000, &[]);
    let mut client = server.client();
    let parameters = json!({"prompt": "a", "max_tokens": 1500, "stream": true});
    client.send("POST", TEXTS, &with_model(&parameters));
    assert_eq!(client.head().0, 200);
    let mut idle = server.client();
    assert_eq!(idle.ask("GET", "/health", "").status, 200);
    server.terminate();
    let mut text = Vec::new();
    while let Some(chunk) = client.chunk() {
        text.extend(chunk);
    }
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(text.ends_with("data: [DONE]\n\n") && text.contains("\"finish_reason\":\"length\""));
    let (code, said) = server.ended();
    assert_eq!(code, Some(0), "{said}");
    assert!(TcpStream::connect(("127.0.0.1", server.port)).is_err(), "nobody listens");

    // What takes longer than the grace is cut off with an error.
    let mut server = Server::start(200_000, &["--grace", "100ms"]);
    let mut client = server.client();
    client.send("POST", TEXTS, &with_model(&json!({"prompt": "a", "max_tokens": 190_000})));
    server.until_running(1);
    server.terminate();
    let (status, _) = client.head();
    assert_eq!(status, 503);
    let (code, said) = server.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("1 answers were cut off after 100ms"), "{said}");
}

#[test]
fn many_clients_lose_nothing() {
    let server = Server::start(96, &[]);
    let request = |k: usize| {
        let sampling = Sampling { temperature: 0.8, ..Sampling::default() };
        Request { max_tokens: 3 + k % 9, sampling, seed: k as u64, ..Request::default() }
    };
    let prompt = |k: usize| "many clients ask at once"[..1 + k % 24].to_string();
    let expected: Vec<Completion> =
        (0..24).map(|k| alone(96, &[&prompt(k)], &request(k)).remove(0)).collect();
    let asked = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..64)
            .map(|client| {
                let (server, expected) = (&server, &expected);
                scope.spawn(move || {
                    let mut connection = server.client();
                    for round in 0..6 {
                        let k = (client + 7 * round) % 24;
                        let parameters = json!({
                            "prompt": prompt(k), "max_tokens": 3 + k % 9, "temperature": 0.8, "seed": k,
                            "stream": (client + round) % 2 == 0,
                        });
                        let response = connection.ask("POST", TEXTS, &with_model(&parameters));
                        let text: String = match (client + round) % 2 {
                            0 => response
                                .events()
                                .iter()
                                .filter_map(|event| event["choices"][0]["text"].as_str().map(String::from))
                                .collect(),
                            _ => response.json()["choices"][0]["text"].as_str().expect("a text").into(),
                        };
                        assert_eq!(text, expected[k].text);
                    }
                    6
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("no client fails")).sum::<u32>()
    });
    assert_eq!(asked, 384);
    assert_eq!(
        server.metric("mathesis_requests_total{endpoint=\"completions\",outcome=\"answered\"}"),
        384.0
    );
    assert_eq!(server.metric("mathesis_first_token_seconds_count"), 384.0);
}

#[test]
fn what_cannot_be_served_is_explained() {
    let folder = TempDir::new().expect("a folder");
    let refused = |arguments: &[&str], says: &str| {
        let output = mathesis(folder.path(), &[&["serve"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{}", unbroken(&output));
        assert!(unbroken(&output).contains(says), "no {says:?} in {}", unbroken(&output));
    };
    refused(&["nowhere"], "nowhere");
    let write = |name: &str, checkpoint: &Checkpoint| {
        checkpoint.write(&folder.path().join(name), NumberFormat::F32).expect("written");
    };
    let mut without = checkpoint(48);
    write("whole", &without);
    without.tokenizer = None;
    write("without", &without);
    refused(&["without"], "without has no tokenizer.json");
    refused(&["whole", "--max-total", "49"], "--max-total is 49, expected from 2 to the model's context, 48");
    refused(&["whole", "--max-prompt", "48"], "--max-prompt is 48, expected less than the 48");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").port().to_string();
    refused(&["whole", "--port", &taken], &format!("port {taken} is taken"));
    assert!(Path::new(&folder.path().join("whole")).exists());
}

#[test]
fn a_message_is_written_by_the_template() {
    // The reference of the other tests: what the template makes of a chat.
    let chat = checkpoint(48).chat.expect("a template");
    let message = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
    let text = chat.render(&[message("system", "be brief"), message("user", "hi")], true).expect("a text");
    assert_eq!(text, "s:be brief|u:hi|a:");
}
