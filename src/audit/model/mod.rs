//! What the trail shows and how it is proved: [`chain`] (hashes of rows), [`walk`] (log and seals side by side),
//! [`bad`] (what is wrong with the first bad row), [`shown`] (an entry as its readers see it), [`csv`]. No I/O.

pub mod bad;
pub mod chain;
pub mod csv;
pub mod shown;
pub mod walk;

#[cfg(test)]
mod tests;
