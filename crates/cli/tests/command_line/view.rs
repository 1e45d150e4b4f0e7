//! `mathesis view` from outside: what its server answers, and to whom.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{empty, example, mathesis, unbroken};

/// A server on a folder with a port of its own; ended when dropped.
pub struct Server {
    process: Child,
    pub port: u16,
}

impl Server {
    pub fn start(folder: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_mathesis"))
            .args(["view", "--port", "0", "--cache", "cache"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let port = line.split("http://127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next());
        let port =
            port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no address in {line:?}"));
        Server { process, port }
    }

    pub fn get(&self, path: &str) -> Response {
        request(self.port, "GET", path, &format!("127.0.0.1:{}", self.port), "")
    }

    #[track_caller]
    fn json(&self, path: &str) -> Value {
        let response = self.get(path);
        assert_eq!(response.status, 200, "{path}: {}", response.body);
        serde_json::from_str(&response.body).expect("JSON")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// One request on a connection of its own.
pub fn request(port: u16, method: &str, path: &str, host: &str, body: &str) -> Response {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    // ChromeDriver leaves the connection open: the length tells where its answer ends.
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), None);
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).expect("a head") > 0 {
        let line = head.trim_end().lines().next_back().unwrap_or_default().to_lowercase();
        length =
            length.or(line.strip_prefix("content-length:").and_then(|length| length.trim().parse().ok()));
    }
    let mut body = Vec::new();
    stream.take(length.unwrap_or(u64::MAX)).read_to_end(&mut body).expect("a body");
    let body = String::from_utf8(body).expect("UTF-8");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Response { status, head: head.to_lowercase(), body }
}

/// Runs of the example: `first`, the same replies by other rules in `second`, a solved problem, and broken ones.
pub fn runs() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let (suite, model) =
        (example("word-problems/suite.toml"), format!("scripted:{}", example("word-problems/pupil.toml")));
    let run = |arguments: &[&str]| {
        let output = mathesis(folder.path(), &[arguments, &["--quiet"]].concat());
        assert!(output.status.success(), "{}", unbroken(&output));
    };
    run(&["eval", &suite, "--model", &model, "--samples", "2", "--output", "runs/first"]);
    run(&[
        "eval",
        &suite,
        "--replies",
        "runs/first/records.jsonl",
        "--set",
        "mode=hendrycks",
        "--output",
        "runs/second",
    ]);
    run(&["solve", &example("bar.toml")]);
    let write = |name: &str, text: &str| {
        let path = folder.path().join("runs").join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write("broken/run.json", "{");
    let record = std::fs::read_to_string(folder.path().join("runs/first/run.json")).expect("a record");
    write("garbled/run.json", &record);
    write("garbled/records.jsonl", "{\"id\": \"a\"}\n");
    write("../secret.txt", "secret");
    folder
}

/// A filter as a part of an address.
fn filter(json: &str) -> String {
    json.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02x}")
                }
            },
        )
        .collect()
}

#[test]
fn the_server_lists_runs_and_finds_items() {
    let folder = runs();
    let server = Server::start(folder.path());
    let runs = server.json("/api/runs");
    let run = |name: &str| {
        runs.as_array()
            .expect("a list")
            .iter()
            .find(|run| run["name"] == name)
            .unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!(runs.as_array().map(Vec::len), Some(5));
    assert_eq!((run("first")["kind"].as_str(), run("first")["counts"][1].as_u64()), (Some("eval"), Some(24)));
    assert_eq!(
        (run("bar")["kind"].as_str(), run("bar")["has_report"].as_bool()),
        (Some("solve"), Some(true))
    );
    assert!(run("broken")["wrong"].as_str().expect("a complaint").contains("run.json is broken"));

    let facets = &server.json("/api/run?run=first")["facets"];
    let total: u64 =
        facets["verdicts"].as_array().expect("counts").iter().filter_map(|v| v[1].as_u64()).sum();
    assert_eq!(total, 24);
    let items = |filter_json: &str, more: &str| {
        server.json(&format!("/api/items?run=first&filter={}{more}", filter(filter_json)))
    };
    let all = items("{}", "");
    assert_eq!((all["total"].as_u64(), all["next"].as_u64()), (Some(12), None));
    // Failures first: what could not be asked at all before what was cut.
    assert_eq!(all["rows"][0]["id"], "roots");
    let page = items("{}", "&limit=5&from=5");
    assert_eq!((page["rows"].as_array().map(Vec::len), page["next"].as_u64()), (Some(5), Some(10)));
    assert_eq!(page["rows"][0], all["rows"][5]);
    let cut = items(r#"{"verdicts": ["truncated"]}"#, "");
    assert_eq!((cut["total"].as_u64(), cut["rows"][0]["id"].as_str()), (Some(1), Some("coins")));
    let found = items(r#"{"text": "PYTHAGORAS"}"#, "");
    assert_eq!(found["rows"].as_array().map(Vec::len), Some(1));
    assert_eq!(items(r#"{"categories": {"topic": ["rates"]}}"#, "")["total"].as_u64(), Some(2));
    assert_eq!(items(r#"{"rules": ["box"], "scores": [1, 1]}"#, "")["total"].as_u64(), Some(1));

    // Times are known of what was asked, and not of replies from elsewhere.
    assert!(facets["slowest"].as_f64().is_some_and(|seconds| seconds >= 0.0));
    assert_eq!(items(r#"{"seconds": [0, 1000]}"#, "&order=time")["total"].as_u64(), Some(12));
    assert_eq!(items(r#"{"seconds": [1000, 2000]}"#, "")["total"].as_u64(), Some(0));
    assert!(all["rows"][0]["seconds"].is_number());
    assert!(server.json("/api/run?run=second")["facets"]["slowest"].is_null());

    let item = server.json(&format!("/api/item?run=first&item={}", found["rows"][0]["item"]));
    let sample = &item["samples"][0];
    assert_eq!(
        (sample["verdict"].as_str(), sample["rule"].as_str()),
        (Some("right"), Some("announced answer"))
    );
    let reply = sample["reply"].as_str().expect("HTML");
    assert!(reply.contains("<math") && reply.contains("<mark>"), "{reply}");

    let compared = server.json("/api/comparison?first=first&second=second");
    let output = mathesis(folder.path(), &["compare", "runs/first", "runs/second", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for figure in ["common", "first", "second", "difference", "verdicts", "same_replies"] {
        assert_eq!(compared["comparison"][figure], told[figure], "{figure}");
    }
    assert_eq!(compared["changed"].as_u64(), told["changed"].as_array().map(|changed| changed.len() as u64));
    let pairs = server
        .json(&format!("/api/pairs?first=first&second=second&filter={}", filter(r#"{"differs": true}"#)));
    assert_eq!(pairs["total"], compared["changed"]);
    assert_eq!(pairs["rows"][0][0]["id"], pairs["rows"][0][1]["id"]);
    assert_eq!(pairs["rows"][0][0]["id"], told["changed"][0]["id"]);

    // The index is kept, and made again when the records change.
    let kept = || std::fs::read_dir(folder.path().join("cache")).expect("a cache").count();
    assert_eq!(kept(), 2);
    let records = folder.path().join("runs/first/records.jsonl");
    let text = std::fs::read_to_string(&records).expect("records");
    std::fs::write(&records, text.lines().take(3).collect::<Vec<_>>().join("\n")).expect("written");
    assert_eq!(items("{}", "")["total"].as_u64(), Some(3));
    assert_eq!(kept(), 2);
}

#[test]
fn only_this_machine_is_answered_and_only_from_the_folder() {
    let folder = runs();
    let server = Server::start(folder.path());
    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    for part in ["/view.js", "/view.css"] {
        assert!(page.body.contains(part) && server.get(part).status == 200, "{part}");
    }
    for host in ["evil.example", "127.0.0.1", "127.0.0.1:1"] {
        assert_eq!(request(server.port, "GET", "/api/runs", host, "").status, 403, "{host}");
    }
    let host = format!("localhost:{}", server.port);
    assert_eq!(request(server.port, "GET", "/api/runs", &host, "").status, 200);
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(request(server.port, method, "/api/runs", &host, "").status, 405, "{method}");
    }

    let report = server.get("/files/first/report.html");
    assert_eq!(report.status, 200);
    assert!(report.head.contains("sandbox") && report.body.contains("</html>"));
    assert_eq!(server.get("/files/first/records.jsonl").body.lines().count(), 12);
    for path in [
        "/files/../secret.txt",
        "/files/..%2fsecret.txt",
        "/files/first/..%2f..%2f..%2fsecret.txt",
        "/files/%2fetc%2fpasswd",
    ] {
        let response = server.get(path);
        assert!(response.status == 400 || response.status == 404, "{path}: {}", response.status);
        assert!(!response.body.contains("root:") && response.body.trim() != "secret", "{path}");
    }
    for (path, status, expected) in [
        ("/api/items?run=..", 400, "outside"),
        ("/api/items?run=none", 404, "there is no none"),
        ("/api/items?run=bar", 404, "no items"),
        ("/api/run?run=broken", 422, "is broken"),
        ("/api/run?run=garbled", 422, "records.jsonl:1: "),
        ("/api/items?run=first&order=up", 400, "there are failures"),
        ("/api/items?run=first&filter=%7b%22x%22%3a1%7d", 400, "unknown field"),
        ("/api/items?run=first&from=-1", 400, "from"),
        ("/api/item?run=first&item=12", 404, "no item 12"),
        ("/api/nothing", 404, ""),
    ] {
        let response = server.get(path);
        assert_eq!(response.status, status, "{path}: {}", response.body);
        assert!(response.body.contains(expected), "{path}: {}", response.body);
    }
}

#[test]
fn it_ends_by_ctrl_c_and_says_what_is_wrong() {
    let folder = runs();
    let mut server = Server::start(folder.path());
    let taken = server.port.to_string();
    for (arguments, expected) in [
        (vec!["view", "--port", &taken], format!("port {taken} is taken")),
        (vec!["view", "nowhere"], "cannot read nowhere".into()),
        (vec!["view", "runs/calls"], "holds no run".into()),
    ] {
        let output = mathesis(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{}", unbroken(&output));
        assert!(unbroken(&output).contains(&expected), "{}", unbroken(&output));
    }
    let told = Command::new("kill").args(["-INT", &server.process.id().to_string()]).status();
    assert!(told.expect("kill runs").success());
    assert_eq!(server.process.wait().expect("ended").code(), Some(0));
    assert!(!empty(folder.path()));
}
