//! Names the commit for `usher --version`.
use std::process::Command;

#[expect(clippy::disallowed_methods, reason = "a build script is configured by its environment")]
fn main() {
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rerun-if-changed=.git/logs/HEAD");
    println!("cargo:rerun-if-env-changed=USHER_COMMIT");
    let given = std::env::var("USHER_COMMIT").ok().filter(|commit| !commit.is_empty());
    // A source archive and an image's build context have no repository.
    let commit = given.or_else(asked).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=USHER_COMMIT={commit}");
}

fn asked() -> Option<String> {
    let git = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let commit = String::from_utf8(git.stdout).ok()?.trim().to_owned();
    (git.status.success() && !commit.is_empty()).then_some(commit)
}
