//! The server: which requests are answered at all, and by what.
//!
//! Only this machine may ask, by the names of its loopback addresses: a page of another site whose name has been bound to
//! 127.0.0.1 sends its own name as `Host` and gets nothing. Only `GET` is known. Scripts run from `/view.js` alone; reports
//! and drawings of runs are shown without any.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::answers::{Answer, Asked, Library, Refusal};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

const SHARING: &str = "cross-origin-resource-policy";

/// Formulas carry style attributes.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
                           img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const FILE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; sandbox";

/// Answers requests until Ctrl-C.
pub async fn serve(listener: tokio::net::TcpListener, port: u16, library: Library) -> std::io::Result<()> {
    axum::serve(listener, router(port, library)).with_graceful_shutdown(interrupted()).await
}

async fn interrupted() {
    let (told, tell) = tokio::sync::oneshot::channel();
    let told = std::sync::Mutex::new(Some(told));
    let installed = ctrlc::set_handler(move || match told.lock().ok().and_then(|mut told| told.take()) {
        Some(told) => drop(told.send(())),
        // Somebody keeps a connection open, and the user is tired of it.
        None => std::process::exit(130),
    });
    match installed {
        Ok(()) => drop(tell.await),
        Err(error) => {
            tracing::warn!("Ctrl-C ends the program at once: {error}");
            std::future::pending::<()>().await;
        }
    }
}

fn router(port: u16, library: Library) -> Router {
    let library = Arc::new(library);
    let part =
        |kind: &'static str, text: &'static str| get(move || async move { ([(CONTENT_TYPE, kind)], text) });
    Router::new()
        .route("/", part("text/html; charset=utf-8", PAGE))
        .route("/view.css", part("text/css; charset=utf-8", STYLE))
        .route("/view.js", part("text/javascript; charset=utf-8", SCRIPT))
        // A report in its sandbox counts as another origin when the browser asks for its icon.
        .route("/favicon.ico", get(|| async { (StatusCode::NO_CONTENT, [(SHARING, "cross-origin")]) }))
        .route("/api/runs", get(|state, query| answer(state, query, Library::runs)))
        .route("/api/run", get(|state, query| answer(state, query, Library::run)))
        .route("/api/items", get(|state, query| answer(state, query, Library::items)))
        .route("/api/item", get(|state, query| answer(state, query, Library::item)))
        .route("/api/comparison", get(|state, query| answer(state, query, Library::comparison)))
        .route("/api/pairs", get(|state, query| answer(state, query, Library::pairs)))
        .route("/files/{*path}", get(file))
        .with_state(library)
        .layer(middleware::from_fn(move |headers: HeaderMap, request: Request, next: Next| async move {
            if !is_ours(&headers, request.uri(), port) {
                let message = format!("ask for http://127.0.0.1:{port}/");
                return (StatusCode::FORBIDDEN, message).into_response();
            }
            let mut response = next.run(request).await;
            let headers = response.headers_mut();
            headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(PAGE_POLICY));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            headers.entry(SHARING).or_insert(HeaderValue::from_static("same-origin"));
            response
        }))
}

/// Whether a request names this server by a loopback address.
fn is_ours(headers: &HeaderMap, uri: &Uri, port: u16) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = host.to_str() else { return false };
    let is_loopback = |host: &str| {
        ["127.0.0.1", "localhost", "[::1]"]
            .iter()
            .any(|name| host == format!("{name}:{port}") || (port == 80 && host == *name))
    };
    is_loopback(host) && uri.authority().is_none_or(|authority| is_loopback(authority.as_str()))
}

/// An answer in JSON, made where it may take its time.
async fn answer<T: Serialize + Send + 'static>(
    State(library): State<Arc<Library>>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
    make: fn(&Library, &Asked) -> Answer<T>,
) -> Response {
    let made = match asked {
        Ok(Query(asked)) => tokio::task::spawn_blocking(move || make(&library, &asked))
            .await
            .unwrap_or_else(|error| Err(Refusal::Broken(format!("the program failed: {error}")))),
        Err(error) => Err(Refusal::Wrong(error.body_text())),
    };
    match made.and_then(|made| serde_json::to_vec(&made).map_err(|error| Refusal::Broken(error.to_string())))
    {
        Ok(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Response {
    let (status, message) = match refusal {
        Refusal::Wrong(message) => (StatusCode::BAD_REQUEST, message),
        Refusal::Absent(message) => (StatusCode::NOT_FOUND, message),
        Refusal::Broken(message) => (StatusCode::UNPROCESSABLE_ENTITY, message),
    };
    let json = serde_json::json!({ "error": message }).to_string();
    (status, [(CONTENT_TYPE, "application/json")], json).into_response()
}

/// A file of a run, piece by piece.
async fn file(
    State(library): State<Arc<Library>>,
    axum::extract::Path(path): axum::extract::Path<String>,
) -> Response {
    let opened = tokio::task::spawn_blocking(move || -> Result<_, Refusal> {
        let path = library.file(&path)?;
        let broken = |error: std::io::Error| Refusal::Broken(error.to_string());
        let file = File::open(&path).map_err(broken)?;
        let length = file.metadata().map_err(broken)?.len();
        Ok((file, length, content_type(&path)))
    });
    let (file, length, content_type) = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(refusal)) => return refused(refusal),
        Err(error) => return refused(Refusal::Broken(error.to_string())),
    };
    let pieces = futures_util::stream::try_unfold(file, |mut file| async move {
        let read = move || {
            let mut piece = vec![0; 1 << 18];
            let length = file.read(&mut piece)?;
            piece.truncate(length);
            Ok::<_, std::io::Error>((Bytes::from(piece), file))
        };
        let (piece, file) = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)??;
        Ok::<_, std::io::Error>((!piece.is_empty()).then_some((piece, file)))
    });
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(FILE_POLICY));
    match content_type {
        Some(kind) => headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind)),
        None => headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
    };
    response
}

/// How a browser shows a file; `None` if it is to keep it.
fn content_type(path: &Path) -> Option<&'static str> {
    Some(match path.extension()?.to_str()? {
        "html" => "text/html; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "jsonl" | "csv" | "txt" | "toml" | "md" | "mtx" => "text/plain; charset=utf-8",
        "png" => "image/png",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_answered() {
        let asked = |hosts: &[&str], uri: &str| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, host.parse().unwrap());
            }
            is_ours(&headers, &uri.parse().unwrap(), 8400)
        };
        for host in ["127.0.0.1:8400", "localhost:8400", "[::1]:8400"] {
            assert!(asked(&[host], "/"), "{host}");
        }
        for host in ["evil.example:8400", "127.0.0.1", "127.0.0.1:8401", "localhost.evil.example:8400", ""] {
            assert!(!asked(&[host], "/"), "{host}");
        }
        assert!(!asked(&[], "/") && !asked(&["127.0.0.1:8400", "evil.example"], "/"));
        assert!(!asked(&["127.0.0.1:8400"], "http://evil.example:8400/"));
    }
}
