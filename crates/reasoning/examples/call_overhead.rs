//! What the call layer adds to a call: requests a second to a model that takes no time, and over HTTP on loopback.
//!
//! ```sh
//! cargo run --release -p mathesis-reasoning --example call_overhead [REQUESTS [FOLDER]]
//! ```
//!
//! Every request has its own text and is written to the log before it counts. The folder, by default in the system's
//! temporary one, decides how fast the disk is.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mathesis_reasoning::models::calls::{Calls, Limits, Log, Options};
use mathesis_reasoning::models::{Message, Model, Request, Sample, ScriptedModel, block_on, open};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let requests: usize =
        arguments.next().map_or(100_000, |count| count.parse().expect("a number of requests"));
    let folder = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let folder = folder.join(format!("call-overhead-{}", std::process::id()));
    let scripted = || -> Arc<dyn Model> {
        Arc::new(ScriptedModel::new("instant", |request, _| Ok(Sample::of(request.prompt.last_text()))))
    };
    println!("{:>28} {:>9} {:>12} {:>12} {:>9}", "model", "at once", "new, 1/s", "known, 1/s", "MB");
    for concurrency in [1, 16, 64, 256, 512] {
        // One call at a time waits for the disk each time.
        let requests = if concurrency == 1 { requests / 50 } else { requests };
        measure("instant", scripted(), concurrency, requests, &folder);
    }
    for (name, latency) in
        [("loopback, instant", Duration::ZERO), ("loopback, 20 ms", Duration::from_millis(20))]
    {
        for concurrency in [64, 512] {
            let model = open(&format!("openai:m@{}", serve(latency))).expect("a client can be made");
            measure(name, model, concurrency, requests / 4, &folder);
        }
    }
}

fn measure(name: &str, model: Arc<dyn Model>, concurrency: usize, requests: usize, folder: &Path) {
    let mut rates = Vec::new();
    for _ in 0..2 {
        let log = Arc::new(Log::open(folder).expect("the folder can be written"));
        let limits = Limits { concurrency, ..Limits::default() };
        let calls =
            Calls::new(model.clone(), log, Options { limits, ..Options::default() }).expect("no caps");
        let begin = Instant::now();
        let mut answered = 0;
        calls.run(
            0..requests,
            async |number| {
                let text = format!("{number:>400}");
                calls.ask(&Request::chat([Message::system("Answer briefly."), Message::user(text)])).await
            },
            |_, answers| answered += usize::from(answers.outcomes[0].sample().is_some()),
        );
        assert_eq!(answered, requests);
        rates.push(requests as f64 / begin.elapsed().as_secs_f64());
    }
    let _ = std::fs::remove_dir_all(folder);
    println!(
        "{name:>28} {concurrency:>9} {:>12.0} {:>12.0} {:>9.0}",
        rates[0],
        rates[1],
        resident_megabytes()
    );
}

/// Starts a server that answers every request after a while, and keeps its connections open.
fn serve(latency: Duration) -> String {
    let body = r#"{"model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "The answer is 4."},
        "finish_reason": "stop"}], "usage": {"prompt_tokens": 100, "completion_tokens": 6}}"#;
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let response = response.clone();
                tokio::spawn(async move {
                    let mut read = Vec::new();
                    loop {
                        let head = loop {
                            if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                                break end + 4;
                            }
                            if stream.read_buf(&mut read).await? == 0 {
                                return Ok::<(), std::io::Error>(());
                            }
                        };
                        let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
                        let length =
                            text.split("content-length: ").nth(1).and_then(|text| text.lines().next());
                        let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
                        while read.len() < head + length {
                            stream.read_buf(&mut read).await?;
                        }
                        read.drain(..head + length);
                        tokio::time::sleep(latency).await;
                        stream.write_all(response.as_bytes()).await?;
                    }
                });
            }
        });
        format!("http://{address}/v1")
    })
}

/// The memory that the process holds now, where the system tells.
fn resident_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1000.0
}
