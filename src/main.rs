//! The process: parse arguments, run a command, choose the exit code.
fn main() {}
