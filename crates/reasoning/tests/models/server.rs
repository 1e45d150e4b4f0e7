//! A small HTTP server on loopback that does as a test says, wrong things too.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came in.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The path.
    pub path: String,
    /// The value of the `Authorization` header.
    pub authorization: Option<String>,
    /// The body as JSON.
    pub body: serde_json::Value,
}

/// What the server does with a request.
pub enum Reaction {
    /// Sends bytes, from the status line on, and closes the connection.
    Bytes(Vec<u8>),
    /// Sends bytes, and then others over and over until the client goes.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends nothing until the client goes.
    Silence,
}

impl Reaction {
    /// A whole response, after which the connection stays open.
    pub fn json(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Reaction::Bytes(
            format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
            )
            .into_bytes(),
        )
    }

    /// A chat completion with one text.
    pub fn text(text: &str) -> Self {
        let body = serde_json::json!({
            "model": "served",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5},
        });
        Reaction::json("200 OK", "", &body.to_string())
    }
}

/// A server, which ends with the process.
pub struct Server {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Starts a server that reacts to its `n`-th request (from 0) by a function.
    pub fn new(react: impl Fn(&Received, usize) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (react, seen) = (Arc::new(react), received.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (react, seen) = (react.clone(), seen.clone());
                std::thread::spawn(move || {
                    let _ = serve(stream, &*react, &seen);
                });
            }
        });
        Server { address, received }
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What came in so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    react: &dyn Fn(&Received, usize) -> Reaction,
    seen: &Mutex<Vec<Received>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut received = Received::default();
    let mut length = 0;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    received.path = line.split(' ').nth(1).unwrap_or_default().into();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => received.authorization = Some(value.into()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    received.body = serde_json::from_slice(&body).unwrap_or_default();
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(received.clone());
        seen.len() - 1
    };
    match react(&received, number) {
        Reaction::Bytes(bytes) => stream.write_all(&bytes),
        Reaction::Endless(start, more) => {
            stream.write_all(&start)?;
            loop {
                stream.write_all(&more)?;
            }
        }
        Reaction::Silence => {
            // Returns when the client goes.
            stream.read_exact(&mut [0])
        }
    }
}
