//! Files that are written under a temporary name and renamed once they are complete.

use std::fs::File;
use std::io::{Result, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// How the names of unfinished files begin.
const UNFINISHED: &str = ".unfinished-";

/// A file beside the one that it is to become.
pub(crate) fn temporary_beside(path: &Path) -> Result<NamedTempFile> {
    tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder_of(path))
}

/// Give a complete file its name. Once this returns, the file survives a loss of power; until then, what had the name before
/// is as it was.
pub(crate) fn keep(file: NamedTempFile, path: &Path) -> Result<()> {
    file.as_file().sync_all()?;
    #[cfg(unix)]
    {
        // Temporary files are private; this one is to be as readable as any.
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map_err(|error| error.error)?;
    // The name is in the folder, which is written apart from the file.
    #[cfg(unix)]
    File::open(folder_of(path))?.sync_all()?;
    Ok(())
}

/// Write a whole file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = temporary_beside(path)?;
    file.write_all(bytes)?;
    keep(file, path)
}

/// Remove what killed processes have left unfinished in a folder.
pub(crate) fn remove_unfinished(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
