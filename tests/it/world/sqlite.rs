//! A folder of a test's own for SQLite files; it goes with the value.

use std::path::Path;

/// An empty folder, removed on drop.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("tenantry-it-").tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// `sqlite://<folder>/<file>`, as `store.url` and `clusters.<name>.url` take it. Nothing is made there yet.
    pub fn url(&self, file: &str) -> String {
        format!("sqlite://{}", self.path().join(file).display())
    }
}

#[test]
fn a_folder_is_gone_when_its_test_is_over() {
    let folder = Folder::new();
    let path = folder.path().to_path_buf();
    assert!(folder.url("control.db").starts_with("sqlite:///"));
    std::fs::write(path.join("control.db"), "").unwrap();
    drop(folder);
    assert!(!path.exists());
}
