//! Tells cargo which folders are compiled in: by itself it would not notice a new file in them.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=config");
    println!("cargo:rerun-if-changed=examples/notes/migrations");
    println!("cargo:rerun-if-changed=migrations");
}
