//! `mathesis view`: the finished runs of a folder in a web page that this machine alone can see.
//!
//! A server on a loopback address reads and never writes the folder; the page is part of the program and asks nobody else.
//! Items of a run are found by an index (`suites::index`), which is kept in the user's cache folder.

mod answers;
mod runs;
mod server;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::failure::{Failure, unreadable};
use answers::Library;

const EXAMPLES: &str = "\
Examples:
  mathesis view                       the runs below runs/
  mathesis view runs/gsm8k-MODEL      one run
  mathesis view --port 0              any free port

The page shows runs and their figures, every item of a benchmark with its transcripts, and two runs side by side. It is
served to this machine alone, needs no network, and changes no run. Ctrl-C ends it.";

/// Arguments of `view`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The folder with the runs, or one run.
    #[arg(default_value = "runs")]
    folder: PathBuf,
    /// The port of the page; 0 takes any that is free.
    #[arg(long, value_name = "N", default_value_t = 8400)]
    port: u16,
    /// Where the indexes of large runs are kept [default: mathesis/ in XDG_CACHE_HOME or ~/.cache].
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
}

/// Serve the page until Ctrl-C.
///
/// # Errors
/// Wrong input if the folder holds no run or the port is taken.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let root = folder.canonicalize().map_err(|error| Failure::input(unreadable(folder, &error)))?;
    let runs = runs::list(&root).map_err(|error| Failure::file("read", folder, &error))?;
    if runs.is_empty() {
        return Err(Failure::input(format!(
            "{} holds no run: expected folders with a run.json, as `mathesis eval` and `mathesis solve` write them",
            folder.display()
        )));
    }
    let library = Library::new(root, arguments.cache.clone().unwrap_or_else(cache_folder));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .enable_all()
        .build()
        .map_err(Failure::work)?;
    runtime.block_on(async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
        let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| {
            let port = arguments.port;
            match error.kind() {
                std::io::ErrorKind::AddrInUse => Failure::input(format!(
                    "port {port} is taken; name another with --port, or --port 0 for any that is free"
                )),
                _ => Failure::input(format!("cannot listen on port {port}: {error}")),
            }
        })?;
        let port = listener.local_addr().map_err(Failure::work)?.port();
        println!("{} runs at http://127.0.0.1:{port}/ (Ctrl-C ends this)", runs.len());
        server::serve(listener, port, library).await.map_err(Failure::work)
    })?;
    // A search that is under way is not waited for.
    runtime.shutdown_background();
    Ok(())
}

fn cache_folder() -> PathBuf {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("XDG_CACHE_HOME")
        .or_else(|| Some(named("HOME")?.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("mathesis")
}
