//! Run folders: written under a temporary name, renamed when complete, so that none is ever half there.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::failure::Failure;

/// A run folder that is being written.
pub struct RunFolder {
    target: Target,
    temporary: TempDir,
}

enum Target {
    /// `runs/<name>`, or `runs/<name>-2` and so on if that is taken.
    Numbered { parent: PathBuf, name: String },
    /// Exactly this folder.
    Exact(PathBuf),
}

/// The file that marks a folder as a run's.
const MARK: &str = "run.json";

/// Whether a folder can be named as output: it is absent, empty, or an earlier run's (which is then replaced).
///
/// # Errors
/// [`Failure::Input`] if it is anything else.
pub fn check_output(folder: &Path) -> Result<(), Failure> {
    if !folder.exists() {
        return Ok(());
    }
    let mut entries = fs::read_dir(folder).map_err(|error| {
        Failure::input(format!("--output {}: not a folder that can be read: {error}", folder.display()))
    })?;
    if folder.join(MARK).is_file() || entries.next().is_none() {
        return Ok(());
    }
    Err(Failure::input(format!(
        "--output {}: the folder holds something else than an earlier run (it has files but no {MARK}); \
         name a new folder",
        folder.display()
    )))
}

impl RunFolder {
    /// Begin a folder: `output` if it is given, else `runs/<name>`.
    ///
    /// # Errors
    /// If the parent folder cannot be written to.
    pub fn begin(name: &str, output: Option<&Path>) -> Result<Self, Failure> {
        let target = match output {
            Some(folder) => Target::Exact(folder.to_path_buf()),
            None => Target::Numbered { parent: PathBuf::from("runs"), name: name.to_string() },
        };
        let parent = match &target {
            Target::Numbered { parent, .. } => parent.clone(),
            Target::Exact(folder) => match folder.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
                _ => PathBuf::from("."),
            },
        };
        fs::create_dir_all(&parent).map_err(|error| Failure::file("create", &parent, &error))?;
        // Beside the target, so that the rename stays on one file system.
        let temporary = tempfile::Builder::new()
            .prefix(".unfinished-")
            .tempdir_in(&parent)
            .map_err(|error| Failure::file("create a folder in", &parent, &error))?;
        Ok(RunFolder { target, temporary })
    }

    /// Write one file; folders in its name are made.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<(), Failure> {
        let path = self.temporary.path().join(name);
        let written =
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, content));
        written.map_err(|error| Failure::file("write", &path, &error))
    }

    /// Where a file is while the folder is being written.
    pub fn path(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    /// Begin a file that is written bit by bit.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(&self, name: &str) -> Result<fs::File, Failure> {
        let path = self.path(name);
        fs::File::create(&path).map_err(|error| Failure::file("write", &path, &error))
    }

    /// Give the folder its name; returns it.
    ///
    /// # Errors
    /// If the folder cannot be renamed.
    pub fn finish(self) -> Result<PathBuf, Failure> {
        let RunFolder { target, temporary } = self;
        // The temporary folder is private to its owner; a run folder is an ordinary one.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let _ = fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755));
        }
        let folder = match target {
            Target::Exact(folder) => {
                if folder.exists() {
                    fs::remove_dir_all(&folder).map_err(|error| Failure::file("replace", &folder, &error))?;
                }
                fs::rename(temporary.path(), &folder)
                    .map_err(|error| Failure::file("write", &folder, &error))?;
                folder
            }
            // Renaming onto an existing folder that is not empty fails, so two runs that end together get two numbers.
            Target::Numbered { parent, name } => {
                let mut number = 1;
                loop {
                    let folder =
                        parent.join(if number == 1 { name.clone() } else { format!("{name}-{number}") });
                    if !folder.exists() {
                        match fs::rename(temporary.path(), &folder) {
                            Ok(()) => break folder,
                            Err(error) if !folder.exists() => {
                                return Err(Failure::file("write", &folder, &error));
                            }
                            Err(_) => {}
                        }
                    }
                    number += 1;
                }
            }
        };
        // Its content has moved away; forget it without an attempt to delete it.
        let _ = temporary.keep();
        Ok(folder)
    }
}
