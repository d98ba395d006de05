//! Tells cargo about the folders that are compiled in: it would not notice a new file in them.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for folder in ["migrations", "config", "examples/notes/migrations"] {
        // Cargo runs us again each time for a path that is not there, so only name what is.
        if std::path::Path::new(folder).exists() {
            println!("cargo:rerun-if-changed={folder}");
        } else if let Some(parent) = std::path::Path::new(folder).ancestors().skip(1).find(|p| p.is_dir()) {
            println!("cargo:rerun-if-changed={}", parent.display());
        }
    }
}
