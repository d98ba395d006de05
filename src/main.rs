//! The `tenantry` program.
fn main() {}
