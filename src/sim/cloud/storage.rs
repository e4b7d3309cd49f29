use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use super::world::World;

/// The world that was stored here; `None` if nothing was. A file that cannot be understood is an
/// error, never a fresh start.
pub(super) fn load(path: &Path) -> io::Result<Option<World>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let world = World::restore(&bytes).map_err(|error| {
        let why = format!("{} is no state of a simulated cloud: {error}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, why)
    })?;
    Ok(Some(world))
}

/// Puts the new state in place of the old one in a single step, so that a process killed at any moment
/// leaves one or the other. The file is its owner's alone (mode 0600): tokens are in it.
pub(super) fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files of this crate are made with mode 0600, and renaming keeps it.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}
